/**
 * A list of thousands of rows, of which only those in view are in the document. It scrolls with the page. Rows have one
 * height, so that no row has to be laid out to know where the others are, and none can stretch its neighbour.
 */

/** Pixels beyond the edges of the window that are drawn as well, so that scrolling shows no gap. */
const MARGIN = 400;

/**
 * @typedef {{ key: string, kind: string }} Line
 * @typedef {{ element: HTMLElement, show: (line: any) => void, focus: () => void }} Shown
 */

export class VirtualList {
  #create;
  /** @type {Map<string, Shown & { kind: string }>} */
  #shown = new Map();
  /** Those that are out of view, by kind, for the next ones. @type {Map<string, Shown[]>} */
  #spare = new Map();
  /** @type {Line[]} */
  #lines = [];
  /** The top of each line, and the bottom of the last. */
  #tops = new Float64Array(1);
  #index = new Map();
  /** Pixels by kind. @type {Record<string, number>} */
  #heights = {};
  #frame = 0;
  #aborted = new AbortController();

  element;

  /**
   * @param {HTMLElement} element  its style sheet has `--row-height` and `--heading-height`, in rem
   * @param {(kind: string) => Shown} create
   */
  constructor(element, create) {
    this.element = element;
    this.#create = create;
    const { signal } = this.#aborted;
    addEventListener("scroll", () => this.#schedule(), { passive: true, signal });
    addEventListener("resize", () => this.#measure(), { signal });
  }

  /** Stops listening. */
  close() {
    this.#aborted.abort();
    cancelAnimationFrame(this.#frame);
  }

  get lines() {
    return this.#lines;
  }

  /** Draws the lines that are in view. The same array as before means that no line has moved. */
  draw(lines = this.#lines) {
    if (!this.#heights.row) this.#measure();
    if (lines !== this.#lines) this.#place(lines);
    // The window's own edges: reading them is the one layout of the frame.
    const top = -this.element.getBoundingClientRect().top;
    const from = this.#at(top - MARGIN);
    const to = Math.min(this.#at(top + innerHeight + MARGIN) + 1, this.#lines.length);
    const focused = this.#focusedKey();
    const wanted = new Map();
    for (let index = from; index < to; index += 1) wanted.set(this.#lines[index].key, index);
    // Taking it out of the document would take the focus away.
    if (focused !== null && this.#index.has(focused)) wanted.set(focused, this.#index.get(focused));
    for (const [key, shown] of this.#shown) if (!wanted.has(key)) this.#put(key, shown);
    const order = [...wanted.values()].sort((one, other) => one - other);
    let next = this.element.firstElementChild;
    for (const index of order) {
      const { element } = this.#show(index);
      if (element === next) next = next.nextElementSibling;
      else this.element.insertBefore(element, next);
    }
  }

  /**
   * Moves the focus by so many rows; to the first one where none has it.
   * @param {number} by
   * @returns {boolean} whether it moved
   */
  move(by) {
    const focused = this.#focusedKey();
    let index = focused === null ? (by > 0 ? -1 : this.#lines.length) : (this.#index.get(focused) ?? -1);
    do index += by;
    while (this.#lines[index]?.kind === "heading");
    if (!this.#lines[index]) return false;
    this.reveal(index);
    this.#shown.get(this.#lines[index].key)?.focus();
    return true;
  }

  /** Scrolls until the line is in view. @param {number} index */
  reveal(index) {
    const { top } = this.element.getBoundingClientRect();
    const [begin, end] = [top + this.#tops[index], top + this.#tops[index + 1]];
    const head = parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop) || 0;
    if (begin < head) scrollBy(0, begin - head - this.#heights.heading);
    else if (end > innerHeight) scrollBy(0, end - innerHeight + this.#heights.row / 2);
    this.draw();
  }

  #focusedKey() {
    const active = document.activeElement;
    if (!active || !this.element.contains(active)) return null;
    for (const [key, { element }] of this.#shown) if (element.contains(active)) return key;
    return null;
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  #measure() {
    const style = getComputedStyle(this.element);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const pixels = (/** @type {string} */ name) => Math.round(parseFloat(style.getPropertyValue(name)) * rem);
    this.#heights = { row: pixels("--row-height"), heading: pixels("--heading-height") };
    if (this.#lines.length) this.#place(this.#lines);
    this.#schedule();
  }

  /** @param {Line[]} lines */
  #place(lines) {
    this.#lines = lines;
    this.#tops = new Float64Array(lines.length + 1);
    this.#index.clear();
    for (const [number, { key, kind }] of lines.entries()) {
      this.#tops[number + 1] = this.#tops[number] + this.#heights[kind];
      this.#index.set(key, number);
    }
    this.element.style.height = `${this.#tops[lines.length]}px`;
  }

  /** The number of the line at this height; that of the nearest one beyond the ends. @param {number} top */
  #at(top) {
    let [low, high] = [0, Math.max(this.#lines.length - 1, 0)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#tops[middle] <= top) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** @param {number} index @returns {Shown} */
  #show(index) {
    const line = this.#lines[index];
    const { key, kind } = line;
    const shown = this.#shown.get(key) ?? { ...(this.#spare.get(kind)?.pop() ?? this.#create(kind)), kind };
    this.#shown.set(key, shown);
    shown.show(line);
    const place = `0 ${this.#tops[index]}px`;
    if (shown.element.style.translate !== place) shown.element.style.translate = place;
    return shown;
  }

  /** @param {string} key @param {Shown & { kind: string }} shown */
  #put(key, { kind, ...shown }) {
    this.#shown.delete(key);
    shown.element.remove();
    this.#spare.set(kind, [...(this.#spare.get(kind) ?? []), shown]);
  }
}
