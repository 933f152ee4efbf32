/** The page of a channel: all of its contents, however many, and what can be done with them. */
import { addressOf } from "./address.js";
import { PHASES } from "./board.js";
import { encodeCommand, publishCommand } from "./commands.js";
import { copyButton } from "./copying.js";
import { confirmed } from "./dialog.js";
import { h, hide, mark, say, write } from "./dom.js";
import { count, t } from "./language.js";
import { cancel, cancelAll } from "./requests.js";
import { Row } from "./row.js";
import { VirtualList } from "./virtual-list.js";

/** Least time between two orders of the list: rows that jumped with each event could not be read or clicked. */
const LAYOUT_MS = 150;

export class ChannelView {
  #app;
  #place;
  #feed;
  #list;
  /** @type {Set<string>} */
  #selected = new Set();
  #chips = new Map();
  #search;
  #empty;
  #publish = h("code", { id: "publish-command" });
  #withToken = false;
  #none;
  #bar;
  #barText;
  #cancelMany;
  #removeMany;
  #problem = h("p", { class: "complaint problem", role: "alert", hidden: true });
  #laid = 0;
  #timer = 0;
  #wasReady = false;

  element;

  /**
   * @param {import("./dashboard.js").App} app
   * @param {import("./address.js").Place} place
   * @param {import("./feed.js").Feed} feed
   */
  constructor(app, place, feed) {
    this.#app = app;
    this.#place = { ...place };
    this.#feed = feed;
    this.#search = h("input", {
      type: "search",
      id: "search",
      placeholder: t("searchContents"),
      "aria-label": t("searchContents"),
      autocomplete: "off",
      spellcheck: "false",
      on: { input: () => this.#filter({ query: this.#search.value }) },
    });
    this.#search.value = place.query;
    const list = h("ul", {
      class: "rows",
      role: "list",
      id: "contents",
      "aria-label": t("contentsOf", { channel: place.channel }),
    });
    this.#list = new VirtualList(list, (kind) => (kind === "heading" ? this.#heading() : this.#row()));
    this.#empty = this.#emptyPanel();
    this.#none = h(
      "div",
      { class: "none", id: "none", hidden: true },
      h("p", {}),
      h("button", { type: "button", on: { click: () => this.#clear() } }, t("clearFilters")),
    );
    this.#barText = h("span", {});
    this.#cancelMany = h(
      "button",
      { type: "button", id: "cancel-selected", on: { click: () => this.#cancelSelected() } },
      t("cancel"),
    );
    this.#removeMany = h(
      "button",
      { type: "button", id: "remove-selected", class: "harmful", on: { click: () => this.#removeSelected() } },
      t("remove"),
    );
    const all = h("button", { type: "button", class: "quiet", on: { click: () => this.#selectAll() } }, t("selectAll"));
    const clear = h(
      "button",
      { type: "button", class: "quiet", on: { click: () => this.#deselect() } },
      t("clearSelection"),
    );
    this.#bar = h(
      "div",
      { class: "selection", id: "selection", role: "region", "aria-label": t("clearSelection"), hidden: true },
      this.#barText,
      this.#cancelMany,
      this.#removeMany,
      all,
      clear,
    );
    mark(this.#bar, "aria-label", t("selectedCount", { n: "" }).trim());
    this.element = h(
      "div",
      { class: "view channel-view" },
      h("div", { class: "view-head" }, h("h1", { dir: "auto" }, place.channel), this.#search),
      h(
        "div",
        { class: "chips", role: "group", "aria-label": t("filterByState") },
        ...["", ...PHASES].map((phase) => this.#chip(phase)),
      ),
      this.#problem,
      this.#bar,
      this.#empty,
      this.#none,
      list,
    );
    feed.addEventListener("change", this.#draw);
    feed.addEventListener("state", this.#draw);
    this.#mark();
  }

  get title() {
    return this.#place.channel;
  }

  get search() {
    return this.#search;
  }

  /** To be called once it is in the document. */
  opened() {
    this.#draw();
  }

  close() {
    this.#feed.removeEventListener("change", this.#draw);
    this.#feed.removeEventListener("state", this.#draw);
    clearTimeout(this.#timer);
    this.#list.close();
  }

  /** @param {number} by */
  move(by) {
    if (by < 0 && document.activeElement === this.#search) return false;
    if (this.#list.move(by)) return true;
    if (by < 0) this.#search.focus();
    return by < 0;
  }

  /** Ticks the box of the row that has the focus. */
  select() {
    /** @type {HTMLElement | null | undefined} */
    const box = document.activeElement?.closest(".row")?.querySelector(".select");
    if (!box || box.hidden) return false;
    box.click();
    return true;
  }

  back() {
    if (this.#selected.size) this.#deselect();
    else if (this.#place.query || this.#place.phase) this.#clear();
    else this.#app.go(addressOf({}));
  }

  tick() {
    this.#draw();
  }

  #draw = () => {
    const { board, ready } = this.#feed;
    const { totals } = board;
    for (const [phase, { total, chip }] of this.#chips) {
      const n = phase ? totals[phase] : board.size;
      say(total, ready ? count(n) : "–");
      total.toggleAttribute("data-none", !n);
      hide(chip, phase === "idle" && !n && this.#place.phase !== "idle");
    }
    hide(this.#empty, !ready || board.size > 0);
    this.#command();
    this.#showLines();
    this.#showSelection();
    this.#app.announceEnded(this.#feed.takeEnded());
    this.#app.tab.show(this.title, { running: totals.processing, failed: this.#app.unseen });
  };

  #showLines() {
    const { board, ready } = this.#feed;
    // The whole state is shown as soon as it is here.
    if (ready && !this.#wasReady) this.#laid = 0;
    this.#wasReady = ready;
    const wait = this.#laid + LAYOUT_MS - performance.now();
    let lines = this.#list.lines;
    if (wait <= 0 || !lines.length) {
      lines = board.lines(this.#place.query, this.#place.phase);
      if (lines !== this.#list.lines) this.#laid = performance.now();
    } else if (!this.#timer) {
      this.#timer = setTimeout(() => {
        this.#timer = 0;
        this.#draw();
      }, wait);
    }
    this.#list.draw(lines);
    const filtered = this.#place.query.trim() !== "" || this.#place.phase !== "";
    hide(this.#none, !ready || !board.size || lines.length > 0 || !filtered);
    const query = this.#place.query.trim();
    say(this.#none.firstElementChild, query ? t("noMatch", { query }) : t("noneInState"));
  }

  #heading() {
    const name = h("span", {});
    const total = h("span", { class: "count" });
    const element = h("li", { class: "heading" }, h("h2", {}, name, " ", total));
    return {
      element,
      focus: () => {},
      show: (/** @type {import("./board.js").Line} */ { phase, total: n }) => {
        mark(element, "data-phase", phase);
        say(name, t(phase));
        say(total, count(n));
      },
    };
  }

  #row() {
    const row = new Row({
      clock: this.#app.clock,
      may: () => this.#feed.may,
      selected: this.#selected,
      channels: false,
      types: this.#place.types,
      chosen: ({ item, element }) => {
        if (element.querySelector(".select").checked) this.#selected.add(item.id);
        else this.#selected.delete(item.id);
        this.#draw();
      },
      cancel: ({ item }) => this.#cancelOne(item),
    });
    return {
      element: row.element,
      focus: () => row.focus(),
      show: (/** @type {import("./board.js").Line} */ { key }) => {
        const item = this.#feed.board.get(key);
        // Until the list is ordered again, it has lines of contents that are gone.
        if (item) row.show(item);
        hide(row.element.querySelector(".select"), !this.#feed.may.cancel && !this.#feed.may.write);
      },
    };
  }

  /** @param {string} phase */
  #chip(phase) {
    const total = h("span", { class: "chip-total", id: `total-${phase || "all"}` });
    const chip = h(
      "button",
      { type: "button", class: "chip", "data-phase": phase || "all", on: { click: () => this.#filter({ phase }) } },
      total,
      h("span", { class: "chip-name" }, t(phase || "all")),
    );
    this.#chips.set(phase, { total, chip });
    return chip;
  }

  /**
   * The filters are in the address, so that a reload and a bookmark keep them.
   * @param {Partial<import("./address.js").Place>} change
   */
  #filter(change) {
    this.#place = { ...this.#place, ...change };
    history.replaceState(history.state, "", addressOf(this.#place));
    this.#laid = 0;
    this.#mark();
    this.#draw();
  }

  #clear() {
    this.#search.value = "";
    this.#filter({ query: "", phase: "" });
  }

  #mark() {
    for (const [phase, { chip }] of this.#chips) mark(chip, "aria-pressed", String(phase === this.#place.phase));
  }

  // Selecting

  #selectAll() {
    for (const { key, kind } of this.#feed.board.lines(this.#place.query, this.#place.phase)) {
      if (kind === "row") this.#selected.add(key);
    }
    this.#draw();
  }

  #deselect() {
    this.#selected.clear();
    this.#draw();
  }

  #showSelection() {
    const { board, may } = this.#feed;
    for (const id of this.#selected) if (!board.get(id) || board.hidden.has(id)) this.#selected.delete(id);
    hide(this.#bar, this.#selected.size === 0);
    say(this.#barText, t("selectedCount", { n: count(this.#selected.size) }));
    hide(this.#cancelMany, !may.cancel || !this.#cancellable().length);
    hide(this.#removeMany, !may.write);
  }

  /** Of those that are selected. */
  #cancellable() {
    return [...this.#selected].filter((id) => {
      const item = this.#feed.board.get(id);
      return (item?.phase === "processing" || item?.phase === "pending") && !item.data.cancel_requested;
    });
  }

  // What can be done

  /** @param {import("./board.js").Item} item */
  async #cancelOne({ id }) {
    this.#complain(await cancel(this.#place.channel, id));
  }

  async #cancelSelected() {
    const ids = this.#cancellable();
    const n = ids.length;
    const question = {
      title: t("confirmCancelTitle", { n }),
      text: t("confirmCancelText"),
      yes: t("confirmCancelYes", { n }),
    };
    if (!n || !(await confirmed({ ...question, harmful: true }))) return;
    this.#deselect();
    const { done, failed, reason } = await cancelAll(this.#place.channel, ids);
    if (done) this.#app.toasts.show(t("cancelledCount", { n: done }));
    this.#complain(failed ? t("someFailed", { n: failed, reason }) : "");
  }

  async #removeSelected() {
    const ids = [...this.#selected];
    const n = ids.length;
    const question = {
      title: t("confirmRemoveTitle", { n }),
      text: t("confirmRemoveText"),
      yes: t("confirmRemoveYes", { n }),
    };
    if (!(await confirmed({ ...question, harmful: true }))) return;
    this.#deselect();
    this.#app.remove(this.#feed, ids);
  }

  /** @param {string} problem */
  #complain(problem) {
    write(this.#problem, problem);
  }

  /** That the hub requires a token may be known only when the page is drawn. */
  #command() {
    if (this.#withToken || !this.#app.session.required) return;
    this.#withToken = true;
    this.#publish.textContent = publishCommand(this.#place.channel, true);
  }

  #emptyPanel() {
    const { channel } = this.#place;
    const encode = h("code", { id: "encode-command" }, encodeCommand(channel));
    this.#publish.textContent = publishCommand(channel, false);
    const command = (/** @type {HTMLElement} */ code, /** @type {string} */ label) =>
      h(
        "div",
        { class: "command" },
        h("pre", { tabindex: "0", "aria-label": label }, code),
        copyButton(
          t("copy"),
          () => code.textContent,
          () => code,
        ),
      );
    const [before, after] = t("nothingIn", { channel: "\n" }).split("\n");
    return h(
      "section",
      { class: "panel empty", id: "empty", "aria-labelledby": "empty-heading", hidden: true },
      h("h2", { id: "empty-heading" }, before, h("bdi", {}, channel), after),
      h("p", {}, t("nothingInHint")),
      h("h3", {}, t("encodeVideo")),
      command(encode, t("encodeVideo")),
      h("h3", {}, t("publishYourself")),
      command(this.#publish, t("publishYourself")),
    );
  }
}
