/** One content in a list, always of the same height. What producers sent is set as text, never as markup. */
import { addressOf } from "./address.js";
import { h, hide, mark, say, write } from "./dom.js";
import { ago, left, rounded } from "./durations.js";
import { count, t } from "./language.js";
import { amountOf, cancelOf, cut, endOf, errorOf, pictureOf, progressOf, resultOf, stepOf, titleOf } from "./status.js";
import { tailOf } from "./tail.js";

/** Silence of a content in progress that is worth a word: many times the interval at which workers report. */
export const SILENT_MS = 2 * 60_000;

/**
 * What all rows of a list share.
 * @typedef {object} Surroundings
 * @property {import("./clock.js").HubClock} clock
 * @property {() => import("./session.js").Rights} may
 * @property {Set<string> | null} selected  the ids of those that are selected; null where none can be
 * @property {boolean} channels             whether a row names its channel
 * @property {string[]} [types]             event types of the channel beside the hub's own
 * @property {(row: Row) => void} [chosen]  its box was ticked, or not any more
 * @property {(row: Row) => void} [cancel]
 */

export class Row {
  /** From the first `show` on. @type {import("./board.js").Item} */
  item = /** @type {any} */ (null);
  #around;
  /** @type {Record<string, any>} */
  #parts;
  #channel;

  element;

  /** @param {Surroundings} around */
  constructor(around) {
    this.#around = around;
    const parts = (this.#parts = /** @type {Record<string, any>} */ ({
      box: h("input", { type: "checkbox", class: "select", on: { change: () => around.chosen?.(this) } }),
      thumbnail: h("img", {
        class: "thumbnail",
        alt: "",
        loading: "lazy",
        decoding: "async",
        referrerpolicy: "no-referrer",
        hidden: true,
      }),
      title: h("a", { class: "title", dir: "auto" }),
      id: h("code", { class: "id", hidden: true }),
      error: h("span", { class: "error", dir: "auto", hidden: true }),
      note: h("span", { class: "note", dir: "auto", hidden: true }),
      tail: h("span", { class: "tail", dir: "auto", hidden: true }),
      step: h("span", { class: "step", dir: "auto", hidden: true }),
      path: h("span", { class: "path", hidden: true }),
      fill: h("div", { class: "fill" }),
      percent: h("span", { class: "percent", hidden: true }),
      amount: h("span", { class: "amount", hidden: true }),
      badge: h("span", { class: "badge" }),
      left: h("span", { class: "left", hidden: true }),
      updated: h("span", { class: "updated" }),
      result: h("a", { class: "result", hidden: true }),
      cancel: h(
        "button",
        { type: "button", class: "cancel", hidden: true, on: { click: () => around.cancel?.(this) } },
        t("cancel"),
      ),
    }));
    parts.bar = h(
      "div",
      { class: "bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", hidden: true },
      parts.fill,
    );
    parts.thumbnail.addEventListener("error", () => (parts.thumbnail.hidden = true));
    this.#channel = around.channels ? h("a", { class: "in-channel", dir: "auto" }) : null;
    hide(parts.box, around.selected === null);
    this.element = h(
      "li",
      { class: "row" },
      h("span", { class: "choice" }, parts.box),
      h(
        "div",
        { class: "naming" },
        parts.thumbnail,
        h(
          "div",
          { class: "texts" },
          h("div", { class: "first" }, parts.title, parts.id),
          h(
            "div",
            { class: "second" },
            this.#channel,
            parts.error,
            parts.note,
            parts.step,
            h("span", { class: "tail-end" }, parts.tail),
            parts.path,
          ),
        ),
      ),
      h("div", { class: "progress" }, parts.bar, parts.percent, parts.amount),
      parts.badge,
      h("div", { class: "times" }, parts.left, parts.updated),
      h("div", { class: "actions" }, parts.result, parts.cancel),
    );
  }

  /** Its title, which is the link to the content's page. */
  focus() {
    this.#parts.title.focus({ preventScroll: true });
  }

  /** @param {import("./board.js").Item} item */
  show(item) {
    const { box } = this.#parts;
    const chosen = this.#around.selected?.has(item.id) ?? false;
    if (box.checked !== chosen) box.checked = chosen;
    this.element.classList.toggle("selected", chosen);
    // The state is the same object while nothing changed.
    if (this.item !== item) this.#write(item);
    const asks = item.phase === "processing" && !item.data.cancel_requested && this.#around.may().cancel;
    hide(this.#parts.cancel, !asks || !this.#around.cancel);
    this.tick();
  }

  /** @param {import("./board.js").Item} item */
  #write(item) {
    const { data, phase } = item;
    const { title, id, badge, error, note, step, tail, box, cancel } = this.#parts;
    this.item = item;
    const name = titleOf(data) || item.id;
    mark(this.element, "data-phase", phase);
    mark(this.element, "data-content", item.id);
    say(title, name);
    mark(title, "href", addressOf({ channel: item.channel, content: item.id, types: this.#around.types }));
    write(id, name === item.id ? "" : item.id);
    if (this.#channel) {
      say(this.#channel, item.channel);
      mark(this.#channel, "href", addressOf({ channel: item.channel }));
    }
    // A row is one line.
    const written = phase === "processing" ? tailOf(data, item.field).replace(/\s*\n\s*/g, " ") : "";
    write(badge, t(`badge_${phase}`));
    write(error, phase === "failed" ? cut(errorOf(data)) : "");
    write(note, phase === "processing" || phase === "pending" ? cancelOf(data) : "");
    write(step, phase === "processing" ? stepOf(data) : "");
    write(tail, written);
    mark(box, "aria-label", t("select", { title: name }));
    mark(cancel, "aria-label", t("cancelTitled", { title: name }));
    this.#showProgress(item, name);
    this.#showResult(item, name);
  }

  /** Updates the times, which change without events. */
  tick() {
    const { data, phase, updated, arrived } = this.item;
    const { clock } = this.#around;
    const now = clock.now();
    const silence = Math.max(now - (arrived === null ? updated : clock.at(arrived)), 0);
    const silent = phase === "processing" && silence >= SILENT_MS;
    const ends = phase === "processing" ? endOf(data, updated) : null;
    // After minutes of silence nothing is counted down.
    write(this.#parts.left, ends === null || silent ? "" : left(ends - now));
    mark(this.#parts.left, "data-overdue", ends !== null && ends <= now ? "" : null);
    mark(this.#parts.updated, "data-silent", silent ? "" : null);
    if (silent) say(this.#parts.updated, t("noNews", { time: rounded(silence) }));
    else
      say(
        this.#parts.updated,
        phase === "processing" || phase === "pending" ? t("updated", { time: ago(silence) }) : ago(silence),
      );
  }

  /** @param {import("./board.js").Item} item @param {string} title */
  #showProgress({ data, phase }, title) {
    const { bar, fill, percent, amount } = this.#parts;
    const progress = progressOf(data, phase);
    const known = progress !== null;
    hide(bar, phase === "completed" || phase === "idle" || (!known && phase !== "processing"));
    write(percent, known && !bar.hidden ? `${Math.floor(progress)}%` : "");
    const { done, total, rate } = amountOf(data);
    const parts = [
      done !== null && total !== null ? `${count(done)} / ${count(total)}` : "",
      rate !== null ? t("perSecond", { n: count(Math.round(rate * 10) / 10) }) : "",
    ];
    write(amount, phase === "processing" || phase === "failed" ? parts.filter(Boolean).join(" · ") : "");
    if (bar.hidden) return;
    mark(bar, "aria-label", t("progressOf", { title }));
    mark(bar, "aria-valuenow", known ? `${Math.floor(progress)}` : null);
    bar.classList.toggle("unknown", !known);
    fill.style.setProperty("--progress", known ? progress / 100 : 0);
  }

  /** @param {import("./board.js").Item} item @param {string} title */
  #showResult({ channel, id, data, phase }, title) {
    const { result: link, path, thumbnail } = this.#parts;
    const result = phase === "completed" ? resultOf(data) : null;
    const here = result !== null && result.kind !== "link" && result.kind !== "path";
    write(link, result?.address ? t("openResult") : "");
    // What the page can show is on the content's own page; the rest opens in a new tab.
    mark(
      link,
      "href",
      here ? addressOf({ channel, content: id, types: this.#around.types }) : (result?.address ?? null),
    );
    mark(link, "target", here || !result?.address ? null : "_blank");
    mark(link, "rel", here || !result?.address ? null : "noopener noreferrer");
    mark(link, "title", result?.text ?? null);
    mark(link, "aria-label", t("openResultOf", { title }));
    write(path, result && !result.address ? result.text : "");
    const picture = pictureOf(data);
    if (thumbnail.getAttribute("src") === picture) return;
    mark(thumbnail, "src", picture);
    hide(thumbnail, !picture);
  }
}
