/** How much happens: events a second, and the time from publish to this page. */

/** Over how many seconds the rate is taken, and how many are drawn. */
const RATE_SECONDS = 10;
const DRAWN_SECONDS = 60;

/** Events of which the lag is the median: a single one may come from a producer whose clock is wrong. */
const LAGS = 50;

/** Longest lag that is one: an event of longer ago was published with a time of its own. */
const LAG_MAX_MS = 60_000;

/** By how much the clock may be behind: at first it was told in whole seconds, by an answer that took its time. */
const BEHIND_MS = 5_000;

export class Pulse {
  /** Events by second, of `performance.now()`. @type {Map<number, number>} */
  #seconds = new Map();
  /** @type {number[]} */
  #lags = [];
  #began = performance.now();

  /**
   * @param {number} now  the hub's time, in Unix milliseconds
   * @param {number} published  the event's
   */
  event(now, published) {
    const second = Math.floor(performance.now() / 1000);
    this.#seconds.set(second, (this.#seconds.get(second) ?? 0) + 1);
    const lag = now - published;
    if (!(lag >= -BEHIND_MS && lag <= LAG_MAX_MS)) return;
    this.#lags.push(Math.max(lag, 0));
    if (this.#lags.length > LAGS) this.#lags.shift();
  }

  /** Events a second. */
  get rate() {
    const whole = this.counts.slice(-RATE_SECONDS);
    const open = Math.min((performance.now() - this.#began) / 1000, RATE_SECONDS);
    return whole.reduce((sum, count) => sum + count, 0) / Math.max(open, 1);
  }

  /** Milliseconds; null where none is known. */
  get lag() {
    if (!this.#lags.length) return null;
    return [...this.#lags].sort((one, other) => one - other)[this.#lags.length >> 1];
  }

  /** Of each of the last seconds, the present one last. @returns {number[]} */
  get counts() {
    const now = Math.floor(performance.now() / 1000);
    for (const second of this.#seconds.keys()) if (second <= now - DRAWN_SECONDS) this.#seconds.delete(second);
    return Array.from(
      { length: DRAWN_SECONDS },
      (_, number) => this.#seconds.get(now - DRAWN_SECONDS + 1 + number) ?? 0,
    );
  }
}
