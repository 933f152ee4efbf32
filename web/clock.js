/**
 * The hub's clock, as far as its heartbeats tell. A browser's clock may be wrong by hours, and a status' time is that of
 * the hub or of its producer.
 */
export class HubClock {
  /** Of the last two heartbeats, the hub's time minus the browser's monotonic one: a late one is too low. */
  #samples = [];

  /** Unix milliseconds; by the browser's clock before the hub has told its own. */
  now() {
    return this.at(performance.now());
  }

  /** @param {number} moment  of `performance.now()` @returns {number} Unix milliseconds */
  at(moment) {
    const offset = this.#samples.length ? Math.max(...this.#samples) : Date.now() - performance.now();
    return moment + offset;
  }

  /** @param {string | null | undefined} time  the hub's time, now: ISO 8601, or as the header `Date` has it */
  told(time) {
    const sample = Date.parse(time ?? "") - performance.now();
    if (Number.isFinite(sample)) this.#samples = [...this.#samples.slice(-1), sample];
  }
}
