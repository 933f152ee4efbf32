/** The first page: all channels, what runs now, what has failed lately, and how the hub is. */
import { compareCursors } from "../client/cursor.js";
import { addressOf } from "./address.js";
import { Broker } from "./broker.js";
import { ChannelRow } from "./channel-row.js";
import { Directory, LATELY_MS } from "./directory.js";
import { h, hide, mark, say, write } from "./dom.js";
import { count, t } from "./language.js";
import { Pulse } from "./pulse.js";
import { cancel } from "./requests.js";
import { Row } from "./row.js";
import { errorOf, titleOf } from "./status.js";
import { Tiles } from "./tiles.js";
import { VirtualList } from "./virtual-list.js";

/** Most running, and most failed contents that are shown; the rest is in their channels. */
const RUNNING_SHOWN = 12;
const FAILED_SHOWN = 8;

/** @typedef {"" | import("./status.js").Phase} Filter */

/** @type {Filter[]} */
const FILTERS = ["", "processing", "pending", "failed", "completed"];

/** @type {Record<string, (one: import("./directory.js").Entry, other: import("./directory.js").Entry) => number>} */
const ORDERS = {
  // By the hub's clock: the page's idea of the time is up to a second behind it.
  recent: (one, other) => compareCursors(other.cursor, one.cursor),
  name: (one, other) => (one.channel < other.channel ? -1 : 1),
  running: (one, other) => other.processing + other.pending - one.processing - one.pending,
  failed: (one, other) => other.failed - one.failed,
};

/**
 * What has come since the page was opened is later than what was there, whose times are exact.
 * @param {import("./board.js").Item} one
 * @param {import("./board.js").Item} other
 */
function laterFirst(one, other) {
  return (other.arrived ?? -Infinity) - (one.arrived ?? -Infinity) || other.updated - one.updated;
}

export class Overview {
  #app;
  #place;
  #directory;
  #pulse = new Pulse();
  #broker = new Broker();
  #tiles = new Tiles();
  #search;
  /** By state, "" for all. @type {Map<Filter, { chip: HTMLElement, total: HTMLElement }>} */
  #chips = new Map();
  #sort;
  #list;
  /** @type {{ key: string, lines: import("./virtual-list.js").Line[] }} */
  #lines = { key: "", lines: [] };
  #running = h("ul", { class: "rows short", role: "list", id: "running" });
  #failed = h("ul", { class: "rows short", role: "list", id: "failed-lately" });
  #runningMore = h("p", { class: "aside more", hidden: true });
  #failedMore = h("p", { class: "aside more", hidden: true });
  #none;
  #more = h("p", { class: "aside more", hidden: true });
  #problem = h("p", { class: "complaint problem", role: "alert", hidden: true });
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** The rights to cancel in each channel, as they are asked for. */
  #rights = new Map();

  element;

  /**
   * @param {import("./dashboard.js").App} app
   * @param {import("./address.js").Place} place
   */
  constructor(app, place) {
    this.#app = app;
    this.#place = { ...place, sort: Object.hasOwn(ORDERS, place.sort) ? place.sort : "" };
    this.#directory = new Directory(app.clock, this.#pulse, (item) => this.#ended(item));
    this.#search = h("input", {
      type: "search",
      id: "search",
      placeholder: t("searchChannels"),
      "aria-label": t("searchChannels"),
      maxlength: "128",
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      enterkeyhint: "go",
      on: { input: () => this.#filter({ query: this.#search.value }) },
    });
    this.#search.value = place.query;
    this.#sort = h("select", {
      "aria-label": t("sort"),
      on: { change: () => this.#filter({ sort: this.#sort.value === "recent" ? "" : this.#sort.value }) },
    });
    this.#sort.append(...Object.keys(ORDERS).map((order) => h("option", { value: order }, t(`sort_${order}`))));
    this.#sort.value = this.#place.sort || "recent";
    const list = h("ul", { class: "channels", role: "list", id: "channels", "aria-label": t("channels") });
    this.#list = new VirtualList(list, () => this.#channel());
    this.#none = h(
      "div",
      { class: "none", id: "none", hidden: true },
      h("p", {}),
      h("a", { class: "button", hidden: true }),
    );
    this.element = h(
      "div",
      { class: "view overview" },
      h("h1", { class: "unseen" }, t("overview")),
      this.#tiles.element,
      this.#problem,
      h(
        "div",
        { class: "columns" },
        h(
          "section",
          { class: "column", "aria-labelledby": "channels-heading" },
          h(
            "div",
            { class: "section-head" },
            h("h2", { id: "channels-heading" }, t("channels")),
            this.#search,
            this.#sort,
          ),
          h(
            "div",
            { class: "chips small", role: "group", "aria-label": t("filterByState") },
            ...FILTERS.map((phase) => this.#chip(phase)),
          ),
          this.#none,
          list,
          this.#more,
        ),
        h(
          "div",
          { class: "column side" },
          h(
            "section",
            { "aria-labelledby": "running-heading" },
            h("h2", { id: "running-heading" }, t("runningNow")),
            this.#running,
            this.#runningMore,
          ),
          h(
            "section",
            { "aria-labelledby": "failed-heading" },
            h("h2", { id: "failed-heading" }, t("failedLately")),
            this.#failed,
            this.#failedMore,
          ),
        ),
      ),
    );
    this.#directory.addEventListener("change", this.#draw);
    this.#directory.addEventListener("state", () => app.connected(this.#directory));
    this.#broker.addEventListener("change", this.#draw);
    this.#mark();
  }

  get title() {
    return "";
  }

  get search() {
    return this.#search;
  }

  get connection() {
    return this.#directory;
  }

  opened() {
    this.#draw();
  }

  close() {
    this.#directory.close();
    this.#broker.close();
    this.#list.close();
  }

  retry() {
    this.#rights.clear();
    this.#directory.retry();
  }

  /** @param {number} by */
  move(by) {
    // Enter in the search opens the first channel, or the one that is named.
    if (by < 0 && document.activeElement === this.#search) return false;
    if (this.#list.move(by)) return true;
    if (by < 0) this.#search.focus();
    return by < 0;
  }

  /** Enter in the search. @returns {boolean} */
  enter() {
    const [first] = this.#list.lines;
    const named = this.#place.query.trim();
    if (!first && !named) return false;
    this.#app.go(addressOf({ channel: first ? first.key : named }));
    return true;
  }

  select() {
    return false;
  }

  back() {
    this.#search.value = "";
    this.#filter({ query: "", phase: "", sort: this.#place.sort });
  }

  tick() {
    this.#draw();
  }

  #draw = () => {
    const { channels, contents, ready, more } = this.#directory;
    const totals = { processing: 0, pending: 0, failed: 0, completed: 0 };
    const phases = /** @type {(keyof typeof totals)[]} */ (Object.keys(totals));
    for (const entry of channels.values()) for (const phase of phases) totals[phase] += entry[phase];
    const { clock } = this.#app;
    const now = clock.now();
    // The clock may have been corrected since something came.
    const since = (/** @type {import("./board.js").Item} */ { arrived, updated }) =>
      now - (arrived === null ? updated : clock.at(arrived));
    const all = [...contents.values()];
    const running = all.filter(({ phase }) => phase === "processing").reverse();
    const failed = all.filter((item) => item.phase === "failed" && since(item) < LATELY_MS);
    failed.sort(laterFirst);
    this.#tiles.show({ totals, failedLately: failed.length, ready }, this.#pulse, this.#broker);
    const shown = new Set();
    this.#fill(this.#running, running.slice(0, RUNNING_SHOWN), shown, t("nothingRuns"), ready);
    this.#fill(this.#failed, failed.slice(0, FAILED_SHOWN), shown, t("nothingFailed"), ready);
    for (const id of this.#rows.keys()) if (!shown.has(id)) this.#rows.delete(id);
    // The index counts those, too, of channels that were not read.
    const beyond = Math.max(totals.processing, running.length) - Math.min(running.length, RUNNING_SHOWN);
    write(this.#runningMore, beyond > 0 ? t("andMore", { n: count(beyond) }) : "");
    write(
      this.#failedMore,
      failed.length > FAILED_SHOWN ? t("andMore", { n: count(failed.length - FAILED_SHOWN) }) : "",
    );
    this.#showChannels();
    write(this.#more, more ? t("tooManyChannels", { n: count(channels.size) }) : "");
    for (const [phase, { total }] of this.#chips) {
      const n = phase ? [...channels.values()].filter((entry) => entry[phase] > 0).length : channels.size;
      say(total, ready ? `${count(n)}${more && !phase ? "+" : ""}` : "");
    }
    this.#app.tab.show("", { running: totals.processing, failed: this.#app.unseen });
  };

  #showChannels() {
    const { channels, ready } = this.#directory;
    const lines = this.#select();
    this.#list.draw(lines);
    const query = this.#place.query.trim();
    hide(this.#none, !ready || lines.length > 0);
    const [text, open] = this.#none.children;
    say(
      text,
      !channels.size && !query
        ? `${t("noChannels")}. ${t("noChannelsHint")}`
        : query
          ? t("noMatch", { query })
          : t("noneInState"),
    );
    // A channel may be opened before its first event.
    write(open, query ? t("openChannel", { channel: query }) : "");
    mark(open, "href", query ? addressOf({ channel: query }) : null);
  }

  /** The same array while nothing has moved. */
  #select() {
    const { channels } = this.#directory;
    const { query, phase, sort } = this.#place;
    const wanted = query.trim().toLowerCase();
    const entries = [...channels.values()].filter(
      (entry) =>
        (!phase || entry[/** @type {import("./status.js").Phase} */ (phase)] > 0) &&
        (!wanted || entry.channel.toLowerCase().includes(wanted)),
    );
    entries.sort(ORDERS[sort || "recent"]);
    const key = JSON.stringify(entries.map(({ channel }) => channel));
    if (key !== this.#lines.key)
      this.#lines = { key, lines: entries.map(({ channel }) => ({ key: channel, kind: "row" })) };
    return this.#lines.lines;
  }

  /**
   * @param {HTMLElement} list
   * @param {import("./board.js").Item[]} items
   * @param {Set<string>} shown
   * @param {string} nothing
   * @param {boolean} ready
   */
  #fill(list, items, shown, nothing, ready) {
    if (!items.length) {
      if (!ready) return;
      if (list.firstElementChild?.className === "nothing") return;
      return list.replaceChildren(h("li", { class: "nothing" }, nothing));
    }
    const elements = items.map((item) => {
      let row = this.#rows.get(item.id);
      if (!row) this.#rows.set(item.id, (row = this.#row(item)));
      row.show(item);
      shown.add(item.id);
      return row.element;
    });
    for (const child of [...list.children]) if (!elements.includes(child)) child.remove();
    for (const [place, element] of elements.entries()) {
      if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
    }
  }

  /** @param {import("./board.js").Item} item */
  #row(item) {
    const { channel } = item;
    const may = () => this.#rights.get(channel) ?? { cancel: false };
    if (!this.#rights.has(channel)) {
      this.#rights.set(channel, { cancel: false });
      this.#app.session.ask(channel).then(({ said }) => said?.may && this.#rights.set(channel, said.may));
    }
    return new Row({
      clock: this.#app.clock,
      may,
      selected: null,
      channels: true,
      cancel: async (row) => write(this.#problem, await cancel(row.item.channel, row.item.id)),
    });
  }

  #channel() {
    const row = new ChannelRow(this.#app.clock);
    return {
      element: row.element,
      focus: () => row.focus(),
      show: (/** @type {import("./virtual-list.js").Line} */ { key }) => {
        const entry = this.#directory.channels.get(key);
        if (entry) row.show(entry);
      },
    };
  }

  /** @param {Filter} phase */
  #chip(phase) {
    const total = h("span", { class: "chip-total" });
    const chip = h(
      "button",
      { type: "button", class: "chip", "data-phase": phase || "all", on: { click: () => this.#filter({ phase }) } },
      h("span", { class: "chip-name" }, t(phase || "all")),
      total,
    );
    this.#chips.set(phase, { chip, total });
    return chip;
  }

  /** @param {Partial<import("./address.js").Place>} change */
  #filter(change) {
    this.#place = { ...this.#place, ...change };
    history.replaceState(history.state, "", addressOf(this.#place));
    this.#mark();
    this.#draw();
  }

  #mark() {
    for (const [phase, { chip }] of this.#chips) mark(chip, "aria-pressed", String(phase === this.#place.phase));
  }

  /** @param {import("./board.js").Item} item */
  #ended(item) {
    const { channel, id, phase, data } = item;
    const error = phase === "failed" ? errorOf(data) : "";
    this.#app.watching.ended({ channel, id, phase, title: titleOf(data) || id, error });
    this.#app.announceEnded([item]);
  }
}
