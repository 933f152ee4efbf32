/** Clocks: one that never goes back, and the hub's. A browser's own may be wrong by hours, and jump. */

/**
 * Milliseconds that also pass while the machine sleeps, when some browsers' monotonic clock stands still.
 * @returns {() => number}
 */
export function steadyClock() {
  let now = 0;
  let wall = Date.now();
  let monotonic = performance.now();
  return () => {
    const next = { wall: Date.now(), monotonic: performance.now() };
    now += Math.max(next.monotonic - monotonic, next.wall - wall);
    ({ wall, monotonic } = next);
    return now;
  };
}

export class HubClock {
  /** Of the last two heartbeats, the hub's time minus the browser's: a late one is too low. @type {number[]} */
  #samples = [];

  /** Milliseconds to add to `Date.now()` for the hub's time; 0 before it is known. */
  get offset() {
    return this.#samples.length ? Math.max(...this.#samples) : 0;
  }

  /** @param {string | null | undefined} time  the hub's time, now: ISO 8601, or as the header `Date` has it */
  told(time) {
    const sample = Date.parse(time ?? "") - Date.now();
    if (Number.isFinite(sample)) this.#samples = [...this.#samples.slice(-1), sample];
  }
}
