/** Clocks: one that never goes back, and the hub's. A browser's own may be wrong by hours, and jump. */

/**
 * Milliseconds that also pass while the machine sleeps, when some browsers' monotonic clock stands still.
 * @returns {() => number}
 */
export function steadyClock() {
  const clocks = () => [Date.now(), performance.now()];
  let now = 0;
  let last = clocks();
  return () => {
    const next = clocks();
    now += Math.max(next[0] - last[0], next[1] - last[1]);
    last = next;
    return now;
  };
}

export class HubClock {
  /** Milliseconds to add to `Date.now()` for the hub's time; 0 before it is known. */
  offset = 0;
  #last = -Infinity;

  /** @param {string | null | undefined} time  the hub's time, now: ISO 8601, or as the header `Date` has it */
  told(time) {
    // The hub's time minus the browser's. Of the last two, a late one is too low.
    const sample = Date.parse(time ?? "") - Date.now();
    if (Number.isNaN(sample)) return;
    this.offset = Math.max(this.#last, sample);
    this.#last = sample;
  }
}
