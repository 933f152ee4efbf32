/**
 * All the contents of a channel. States gather between two frames and the latest of each content is drawn in the
 * next one, so a flood costs one update per content and frame. A row moves only when its phase changes.
 */
import { describe } from "./content.js";
import { Row } from "./row.js";

/** Contents drawn in one frame: a first paint of thousands must leave the page answering. */
const FRAME_ROWS = 250;

/** Rows beyond which those off the screen are not laid out (see the style of `long`). */
const LONG_ROWS = 60;

/** A hidden tab gets no frames, and its title still counts. */
const HIDDEN_MS = 1_000;

const GROUPS = { pending: "processing", processing: "processing", failed: "failed", completed: "completed", idle: "idle" };

export class Board extends EventTarget {
  #sections = {};
  #template;
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** In the order of their latest state, which is the clock's. @type {Map<string, import("./content.js").Content>} */
  #pending = new Map();
  #frame = 0;
  #cleared = false;
  #settled = false;

  /** @fires Board#drawn after each frame that changed something; its detail lists the contents that ended live */
  constructor() {
    super();
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

  /** @param {Record<string, any>} data  a content's whole state */
  apply(data) {
    this.#pending.delete(data.content_id);
    this.#pending.set(data.content_id, { ...describe(data, this.#settled), live: this.#settled });
    this.#schedule();
  }

  /** Forgets everything, in the same frame that draws what follows. */
  clear() {
    this.#pending.clear();
    this.#cleared = true;
    this.#settled = false;
    this.#schedule();
  }

  /** What is applied from now on happens now. */
  settle() {
    this.#settled = true;
    this.#schedule();
  }

  tick() {
    const now = Date.now();
    for (const row of this.#rows.values()) row.tick(now);
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
      if (this.#place(content)) ended.push(content);
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

  /** Shows a content; newest first, so whatever changes its phase goes on top. Returns whether it just ended. */
  #place(content) {
    const row = this.#rows.get(content.id) ?? new Row(this.#template);
    const before = row.content?.phase;
    row.show(content);
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
