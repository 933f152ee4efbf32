/**
 * All contents of a channel, in groups by phase. A content moves only when its phase changes; then it is the first of
 * its group, but for those that wait: the one that has waited longest is the next.
 */
import { History } from "./history.js";
import { errorOf, progressOf, stepName, titleOf } from "./status.js";
import { growingField } from "./tail.js";

/** In the order in which they are shown. @type {import("./status.js").Phase[]} */
export const PHASES = ["processing", "pending", "failed", "completed", "idle"];

/**
 * @typedef {object} Item
 * @property {string} channel
 * @property {string} id
 * @property {Readonly<Record<string, any>>} data
 * @property {import("./status.js").Phase} phase
 * @property {number | null} arrived  milliseconds of `performance.now()`; null where it was there before the page
 * @property {number} updated         Unix milliseconds of the hub's or the producer's clock
 * @property {string} field           the one that was seen to grow, or empty
 *
 * @typedef {{ key: string, kind: "heading" | "row", phase: import("./status.js").Phase, total: number, item?: Item }} Line
 */

export class Board {
  #clock;
  /** @type {Map<string, Item>} */
  #items = new Map();
  /** By phase, in the order in which they came into it. @type {Map<import("./status.js").Phase, Map<string, Item>>} */
  #groups = new Map(PHASES.map((phase) => [phase, new Map()]));
  /** Counts what changes the lines, and what changes only texts. */
  #moves = 0;
  #changes = 0;
  #shown = { key: "", lines: /** @type {Line[]} */ ([]) };

  history = new History();

  /** Those whose removal can be undone still: they are in no line. */
  hidden;

  /**
   * @param {import("./clock.js").HubClock} clock
   * @param {Set<string>} [hidden]
   */
  constructor(clock, hidden = new Set()) {
    this.#clock = clock;
    this.hidden = hidden;
  }

  get size() {
    return this.#items.size;
  }

  /** @param {string} id @returns {Item | undefined} */
  get(id) {
    return this.#items.get(id);
  }

  /** How many contents are in each phase. @returns {Record<string, number>} */
  get totals() {
    return Object.fromEntries([...this.#groups].map(([phase, group]) => [phase, group.size]));
  }

  /**
   * @param {{ channel: string, id: string, phase: import("./status.js").Phase, data: Record<string, any> }} content
   * @param {boolean} live  whether it happens now, rather than before the page was opened
   * @param {{ append?: Record<string, any> }} [delta]  what changed, where it grew
   * @returns {Item | null} the item where it has ended now
   */
  apply({ channel, id, phase, data }, live, delta) {
    const before = this.#items.get(id);
    const now = this.#clock.now();
    const item = {
      channel,
      id,
      data,
      phase,
      arrived: live ? performance.now() : null,
      // A producer's clock may be wrong, too.
      updated: live ? now : Date.parse(data.timestamp) || now,
      // It is shown after the end, too.
      field: growingField(delta) || (before?.field ?? ""),
    };
    this.#items.set(id, item);
    if (before?.phase !== phase) {
      if (before) this.#group(before.phase).delete(id);
      this.#moves += 1;
    }
    this.#group(phase).set(id, item);
    this.#changes += 1;
    const ended = phase === "completed" || phase === "failed";
    this.history.record(id, { at: item.updated, progress: progressOf(data, phase), step: stepName(data), ended });
    return live && ended && before?.phase !== phase ? item : null;
  }

  /** @param {string} id */
  remove(id) {
    const item = this.#items.get(id);
    if (!item) return;
    this.#items.delete(id);
    this.#group(item.phase).delete(id);
    this.hidden.delete(id);
    this.history.forget(id);
    this.#moves += 1;
  }

  /** Removes what is not to be kept. @param {(id: string) => boolean} kept */
  keep(kept) {
    for (const id of [...this.#items.keys()]) if (!kept(id)) this.remove(id);
  }

  /** What is hidden has changed. */
  moved() {
    this.#moves += 1;
  }

  /**
   * The lines of a list: a heading for each group, and the group's contents. The same array while nothing moved.
   * @param {string} query  is searched for in names, steps and errors
   * @param {string} phase  only this one, or all where it is empty
   */
  lines(query, phase) {
    const wanted = query.trim().toLowerCase();
    const key = `${this.#moves} ${phase} ${wanted}${wanted && ` ${this.#changes}`}`;
    if (this.#shown.key !== key) this.#shown = { key, lines: this.#select(wanted, phase) };
    return this.#shown.lines;
  }

  /** @param {import("./status.js").Phase} phase */
  #group(phase) {
    return /** @type {Map<string, Item>} */ (this.#groups.get(phase));
  }

  /** @param {string} wanted @param {string} only */
  #select(wanted, only) {
    /** @type {Line[]} */
    const lines = [];
    for (const [phase, group] of this.#groups) {
      if (only && phase !== only) continue;
      const items = [...group.values()].filter(
        (item) => !this.hidden.has(item.id) && (!wanted || matches(item, wanted)),
      );
      if (!items.length) continue;
      if (phase !== "pending") items.reverse();
      lines.push({ key: `#${phase}`, kind: "heading", phase, total: items.length });
      for (const item of items) lines.push({ key: item.id, kind: "row", phase, total: items.length });
    }
    return lines;
  }
}

/** @param {Item} item @param {string} wanted */
function matches({ id, data }, wanted) {
  return [id, titleOf(data), stepName(data), errorOf(data)].some((text) => text.toLowerCase().includes(wanted));
}
