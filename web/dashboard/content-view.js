/** The page of one content: all that is known of it, live. Its address can be sent. */
import { addressOf } from "./address.js";
import { Chart } from "./chart.js";
import { copyButton } from "./copying.js";
import { h, hide, mark, say, write } from "./dom.js";
import { Facts } from "./facts.js";
import { Fields } from "./fields.js";
import { count, t } from "./language.js";
import { Player } from "./player.js";
import { cancel } from "./requests.js";
import { SILENT_MS } from "./row.js";
import {
  cancelOf,
  endOf,
  errorOf,
  firstText,
  pictureOf,
  progressOf,
  renditionsOf,
  resultOf,
  stepOf,
  titleOf,
} from "./status.js";
import { textOf } from "./tail.js";
import { Timeline } from "./timeline.js";

/** The hub's own codes, which the page explains. */
const CODES = new Set(["stalled", "cancelled", "timeout"]);

export class ContentView {
  #app;
  #place;
  #feed;
  /** The last known state. @type {import("./board.js").Item | null} */
  #item = null;
  #gone = false;
  /** @type {Record<string, any>} */
  #parts;
  #facts = new Facts();
  #chart = new Chart();
  #timeline = new Timeline();
  #fields = new Fields();
  #player = new Player();

  element;

  /**
   * @param {import("./dashboard.js").App} app
   * @param {import("./address.js").Place} place
   * @param {import("./feed.js").Feed} feed
   */
  constructor(app, place, feed) {
    this.#app = app;
    this.#place = place;
    this.#feed = feed;
    const parts = (this.#parts = /** @type {Record<string, any>} */ ({
      title: h("h1", { dir: "auto", id: "content-title" }, place.content),
      id: h("code", { class: "id", hidden: true }),
      badge: h("span", { class: "badge" }),
      picture: h("img", { class: "thumbnail", alt: "", hidden: true, referrerpolicy: "no-referrer" }),
      fill: h("div", { class: "fill" }),
      percent: h("span", { class: "percent", hidden: true }),
      step: h("span", { class: "step", dir: "auto", hidden: true }),
      note: h("p", { class: "note", dir: "auto", hidden: true }),
      watch: h(
        "button",
        { type: "button", id: "watch", "aria-pressed": "false", on: { click: () => this.#watch() } },
        t("watch"),
      ),
      cancel: h(
        "button",
        { type: "button", id: "cancel", hidden: true, on: { click: () => this.#cancel() } },
        t("cancel"),
      ),
      remove: h(
        "button",
        { type: "button", id: "remove", class: "harmful", hidden: true, on: { click: () => this.#remove() } },
        t("remove"),
      ),
      problem: h("p", { class: "complaint problem", role: "alert", hidden: true }),
      gone: h("p", { class: "notice", id: "gone", hidden: true }, t("removedHere")),
      error: h("pre", { class: "error-text", dir: "auto", tabindex: "0", "aria-label": t("error") }),
      errorCode: h("p", { class: "aside", hidden: true }),
      text: h("pre", {
        class: "growing-text",
        id: "growing-text",
        dir: "auto",
        tabindex: "0",
        "aria-label": t("written"),
      }),
      renditions: h("tbody", {}),
      missing: h(
        "section",
        { class: "panel", id: "missing", hidden: true },
        h("h2", {}, t("notThere")),
        h("p", {}, t("notThereHint")),
      ),
    }));
    parts.bar = h(
      "div",
      { class: "bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", hidden: true },
      parts.fill,
    );
    parts.picture.addEventListener("error", () => (parts.picture.hidden = true));
    parts.errorPanel = h(
      "section",
      { class: "panel failed-panel", id: "error", hidden: true },
      h("h2", {}, t("error")),
      parts.error,
      parts.errorCode,
    );
    parts.textTitle = h("h2", {}, t("written"));
    parts.textPanel = h("section", { class: "panel", hidden: true }, parts.textTitle, parts.text);
    parts.renditionsPanel = this.#renditions();
    parts.body = h(
      "div",
      { class: "columns", hidden: true },
      h(
        "div",
        { class: "column" },
        parts.errorPanel,
        parts.textPanel,
        this.#player.element,
        this.#timeline.element,
        parts.renditionsPanel,
        this.#fields.element,
      ),
      h("div", { class: "column side" }, this.#facts.element, this.#chart.element),
    );
    this.element = h(
      "div",
      { class: "view content-view" },
      h(
        "div",
        { class: "content-head", id: "content" },
        h(
          "div",
          { class: "naming" },
          parts.picture,
          h("div", {}, h("div", { class: "first" }, parts.title, parts.badge), parts.id),
        ),
        h(
          "div",
          { class: "actions" },
          parts.watch,
          copyButton(t("copyLink"), () => location.href),
          parts.cancel,
          parts.remove,
        ),
      ),
      h("div", { class: "whole-progress" }, parts.bar, h("div", { class: "under" }, parts.step, parts.percent)),
      parts.note,
      parts.problem,
      parts.gone,
      parts.missing,
      parts.body,
    );
    feed.addEventListener("change", this.#draw);
    feed.addEventListener("state", this.#draw);
  }

  get title() {
    return this.#item ? titleOf(this.#item.data) || this.#place.content : this.#place.content;
  }

  get search() {
    return null;
  }

  opened() {
    this.#draw();
  }

  close() {
    this.#feed.removeEventListener("change", this.#draw);
    this.#feed.removeEventListener("state", this.#draw);
    this.#feed.keep(false);
    this.#player.close();
  }

  move() {
    return false;
  }

  select() {
    return false;
  }

  back() {
    this.#app.go(addressOf({ channel: this.#place.channel, types: this.#place.types }));
  }

  tick() {
    this.#draw();
  }

  #draw = () => {
    const { board, ready, may } = this.#feed;
    const item = board.get(this.#place.content) ?? null;
    this.#gone = ready && !item;
    if (item) this.#item = item;
    const { missing, gone, body, watch, remove, cancel: button } = this.#parts;
    hide(missing, !ready || this.#item !== null);
    hide(gone, !this.#gone || this.#item === null);
    hide(body, this.#item === null);
    this.#app.announceEnded(this.#feed.takeEnded());
    const runs = !this.#gone && (this.#item?.phase === "processing" || this.#item?.phase === "pending");
    hide(watch, !runs);
    hide(remove, !this.#item || this.#gone || !may.write);
    hide(button, !runs || !may.cancel || Boolean(this.#item?.data.cancel_requested));
    this.#feed.keep(runs);
    if (this.#item) this.#show(this.#item);
  };

  /** @param {import("./board.js").Item} item */
  #show(item) {
    const { data, phase, updated, field } = item;
    const { title, id, badge, picture, step, note, watch, error, errorPanel, errorCode, text, textPanel } = this.#parts;
    const { clock, tab, watching } = this.#app;
    const past = this.#feed.board.history.of(item.id);
    const over = phase === "completed" || phase === "failed";
    mark(this.element, "data-phase", phase);
    say(title, this.title);
    write(id, this.title === item.id ? "" : item.id);
    write(badge, t(`badge_${phase}`));
    write(step, phase === "processing" ? stepOf(data) : "");
    write(note, over ? "" : cancelOf(data));
    const watched = watching.has(item.channel, item.id);
    say(watch, watched ? t("watching") : t("watch"));
    mark(watch, "aria-pressed", String(watched));
    mark(watch, "title", t("watchTitled", { title: this.title }));
    const source = pictureOf(data);
    if (picture.getAttribute("src") !== source) {
      mark(picture, "src", source);
      hide(picture, !source);
    }
    this.#showProgress(item);
    const reason = phase === "failed" ? errorOf(data) : "";
    const code = phase === "failed" ? firstText(data.error_code) : "";
    hide(errorPanel, phase !== "failed" || (!reason && !code));
    write(error, reason);
    const explained = CODES.has(code) ? t(`code_${code}`) : "";
    write(errorCode, code ? `${code}${explained && explained !== reason ? ` · ${explained}` : ""}` : "");
    this.#showText(textOf(data, field), text, textPanel, phase === "processing");
    this.#player.show(phase === "completed" ? resultOf(data) : null, this.title);
    this.#timeline.show(data, past, clock.now(), phase);
    this.#showRenditions(renditionsOf(data));
    this.#facts.show(item, past, clock);
    const now = clock.now();
    const silent = now - updated >= SILENT_MS;
    const ends = phase === "processing" && !silent ? endOf(data, updated) : null;
    this.#chart.show(this.title, past.samples, { ends, now, over });
    this.#fields.show(data);
    tab.show(this.title, {
      progress: phase === "processing" ? progressOf(data, phase) : null,
      failed: phase === "failed",
    });
  }

  /** @param {import("./board.js").Item} item */
  #showProgress({ data, phase }) {
    const { bar, fill, percent } = this.#parts;
    const progress = progressOf(data, phase);
    hide(
      bar,
      phase === "idle" || phase === "pending" || phase === "completed" || (progress === null && phase !== "processing"),
    );
    write(percent, progress !== null && !bar.hidden ? `${Math.floor(progress)}%` : "");
    mark(bar, "aria-label", t("progressOf", { title: this.title }));
    mark(bar, "aria-valuenow", progress === null ? null : `${Math.floor(progress)}`);
    bar.classList.toggle("unknown", progress === null);
    fill.style.setProperty("--progress", progress === null ? 0 : progress / 100);
  }

  /**
   * The end stays in view, unless the part above it is being read.
   * @param {string} written
   * @param {HTMLElement} text
   * @param {HTMLElement} panel
   * @param {boolean} growing
   */
  #showText(written, text, panel, growing) {
    hide(panel, written === "");
    const title = t(growing ? "written" : "text");
    say(this.#parts.textTitle, title);
    mark(text, "aria-label", title);
    mark(text, "aria-busy", growing ? "true" : null);
    if (text.textContent === written) return;
    const follows = text.scrollHeight - text.scrollTop - text.clientHeight < 24;
    const node = text.firstChild;
    // Appended, so that a selection stays, and a browser lays out only what is new.
    if (node instanceof Text && written.startsWith(node.data)) node.appendData(written.slice(node.data.length));
    else text.textContent = written;
    if (follows) text.scrollTop = text.scrollHeight;
  }

  #renditions() {
    const head = ["name", "resolution", "bandwidth"].map((key) => h("th", { scope: "col" }, t(key)));
    return h(
      "section",
      { class: "panel", id: "renditions", hidden: true },
      h("h2", {}, t("renditions")),
      h("table", { class: "fields" }, h("thead", {}, h("tr", {}, ...head)), this.#parts.renditions),
    );
  }

  /** @param {ReturnType<typeof renditionsOf>} renditions */
  #showRenditions(renditions) {
    const { renditions: body, renditionsPanel } = this.#parts;
    hide(renditionsPanel, !renditions.length);
    const key = JSON.stringify(renditions);
    if (body.dataset.shown === key) return;
    body.dataset.shown = key;
    const rows = renditions.map(({ name, size, bandwidth }) =>
      h(
        "tr",
        {},
        h("td", {}, name),
        h("td", {}, size),
        h("td", {}, bandwidth === null ? "" : `${count(Math.round(bandwidth / 1000))} kbit/s`),
      ),
    );
    body.replaceChildren(...rows);
  }

  async #watch() {
    await this.#app.watching.toggle(this.#place.channel, this.#place.content);
    this.#draw();
  }

  async #cancel() {
    const button = this.#parts.cancel;
    button.disabled = true;
    write(this.#parts.problem, await cancel(this.#place.channel, this.#place.content));
    button.disabled = false;
  }

  /** It can be undone, where the page shows the channel then. */
  #remove() {
    this.#app.remove(this.#feed, [this.#place.content]);
    this.back();
  }
}
