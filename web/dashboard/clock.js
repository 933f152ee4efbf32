/**
 * The hub's clock, as far as it has told. A browser's clock may be wrong by hours, and a status' time is that of the hub
 * or of its producer. While nothing comes from the hub it stands still: a countdown that ran on would be made up.
 */
export class HubClock {
  /** Of the last two heartbeats, the hub's time minus the browser's monotonic one: a late one is too low. @type {number[]} */
  #samples = [];
  /** The moment at which it was stopped, of `performance.now()`; null while it runs. @type {number | null} */
  #stopped = null;

  /** Unix milliseconds; by the browser's clock before the hub has told its own. */
  now() {
    return this.at(this.#stopped ?? performance.now());
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

  /** @param {boolean} running  whether the hub is heard of */
  run(running) {
    if (running) this.#stopped = null;
    else this.#stopped ??= performance.now();
  }

  get running() {
    return this.#stopped === null;
  }

  /** The first heartbeat comes a while after the page has opened. */
  async ask() {
    try {
      const answer = await fetch("healthz", { method: "HEAD", cache: "no-store" });
      if (!this.#samples.length) this.told(answer.headers.get("Date"));
    } catch {
      // The connection's state says so.
    }
  }
}
