/**
 * All contents of a channel. States are collected between two frames, and the next frame draws the latest of each
 * content, so a flood of events costs one update per content and frame. A row moves only when its phase changes.
 */
import { describe } from "./content.js";
import { growingField } from "./growth.js";
import { Row } from "./row.js";

/** Most contents drawn in one frame: the page must stay responsive while it first draws thousands. */
const FRAME_ROWS = 250;

/** Longest list that is laid out as a whole; in longer ones, rows off the screen are skipped (the style of `long`). */
const LONG_ROWS = 60;

/** Between updates of a hidden tab, which gets no frames: its title still shows the count. */
const HIDDEN_MS = 1_000;

const GROUPS = { pending: "processing", processing: "processing", failed: "failed", completed: "completed", idle: "idle" };

export class Board extends EventTarget {
  #clock;
  #sections = {};
  #template;
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** In the order of their latest state; null for a removed one. @type {Map<string, import("./content.js").Content?>} */
  #pending = new Map();
  /** The field by which a content was seen to grow. @type {Map<string, string>} */
  #growing = new Map();
  #frame = 0;
  #cleared = false;
  #settled = false;

  /**
   * @fires Board#drawn  after each frame; its detail has the contents that ended while the page was open
   * @param {import("./clock.js").HubClock} clock
   */
  constructor(clock) {
    super();
    this.#clock = clock;
    this.#template = document.getElementById("row");
    for (const group of new Set(Object.values(GROUPS))) {
      const section = document.getElementById(group);
      this.#sections[group] = { section, list: section.querySelector("ul") };
    }
    document.addEventListener("visibilitychange", () => this.#hidden());
  }

  get size() {
    return this.#rows.size;
  }

  /** How many rows are in each group. @returns {Record<string, number>} */
  get totals() {
    const totals = Object.fromEntries(Object.keys(this.#sections).map((group) => [group, 0]));
    for (const row of this.#rows.values()) totals[GROUPS[row.content.phase]] += 1;
    return totals;
  }

  /**
   * @param {Record<string, any>} data  a content's whole state
   * @param {{ append: Record<string, any> }} [delta]  what changed, where it grew
   */
  apply(data, delta) {
    const id = data.content_id;
    if (delta) this.#growing.set(id, growingField(delta) || (this.#growing.get(id) ?? ""));
    const content = describe(data, this.#settled, this.#clock, this.#growing.get(id) ?? "");
    if (content.phase !== "processing") this.#growing.delete(id);
    this.#pending.delete(id);
    this.#pending.set(id, { ...content, live: this.#settled });
    this.#schedule();
  }

  /** @param {string} id  of a content that was removed */
  remove(id) {
    this.#growing.delete(id);
    this.#pending.delete(id);
    this.#pending.set(id, null);
    this.#schedule();
  }

  /** Removes all contents, in the same frame that draws what is applied next. */
  clear() {
    this.#pending.clear();
    this.#growing.clear();
    this.#cleared = true;
    this.#settled = false;
    this.#schedule();
  }

  /** States that are applied after this are live. */
  settle() {
    this.#settled = true;
    this.#schedule();
  }

  tick() {
    for (const row of this.#rows.values()) row.tick(this.#clock);
  }

  #schedule() {
    const draw = () => this.#draw();
    this.#frame ||= document.hidden ? setTimeout(draw, HIDDEN_MS) : requestAnimationFrame(draw);
  }

  #hidden() {
    if (!this.#frame || !document.hidden) return;
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#schedule();
  }

  #draw() {
    this.#frame = 0;
    if (this.#cleared) this.#empty();
    const ended = [];
    let drawn = 0;
    for (const [id, content] of this.#pending) {
      if (++drawn > FRAME_ROWS) break;
      this.#pending.delete(id);
      if (!content) this.#take(id);
      else if (this.#place(content)) ended.push(content);
    }
    for (const { section, list } of Object.values(this.#sections)) {
      section.hidden = !list.childElementCount;
      list.classList.toggle("long", list.childElementCount > LONG_ROWS);
    }
    if (this.#pending.size) this.#schedule();
    this.dispatchEvent(new CustomEvent("drawn", { detail: { ended } }));
  }

  #empty() {
    this.#cleared = false;
    this.#rows.clear();
    for (const { list } of Object.values(this.#sections)) list.replaceChildren();
  }

  #take(id) {
    this.#rows.get(id)?.element.remove();
    this.#rows.delete(id);
  }

  /** Shows a content, on top of its group where its phase changed. @returns {boolean} whether it ended live */
  #place(content) {
    const row = this.#rows.get(content.id) ?? new Row(this.#template);
    const before = row.content?.phase;
    row.show(content, this.#clock);
    this.#rows.set(content.id, row);
    if (before === content.phase) return false;
    if (GROUPS[before] !== GROUPS[content.phase]) this.#move(row, content);
    return content.live && (content.phase === "completed" || content.phase === "failed");
  }

  #move({ element }, { phase, live }) {
    const focused = element.contains(document.activeElement) ? document.activeElement : null;
    element.classList.toggle("arrived", live);
    this.#sections[GROUPS[phase]].list.prepend(element);
    focused?.focus({ preventScroll: true });
  }
}
