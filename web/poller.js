/** Asks for changes again and again while it runs: not while the tab is hidden, and at once when it shows again. */

/** An answer that takes longer is not coming. */
const ANSWER_MS = 20_000;

/** Pause after the first failure, doubled with each further one: a restart takes seconds, an outage minutes. */
const BACKOFF_MS = 3_000;
const BACKOFF_MAX_MS = 30_000;

/** @typedef {{ cursor: string, reset: boolean, events: import("./client.js").Status[] }} Answer */

export class Poller {
  #options;
  #failures = 0;
  #timer = 0;
  /** @type {AbortController | null} */
  #request = null;

  running = false;

  /** The hub's reason for its last refusal, or empty. */
  reason = "";

  /**
   * @param {{
   *   address: () => URL,
   *   interval: () => number,
   *   answered: (answer: Answer, recovered: boolean) => void,
   *   failed: () => void,
   * }} options  `interval` in milliseconds; `recovered`: the attempt before this one failed
   */
  constructor(options) {
    this.#options = options;
  }

  get failing() {
    return this.#failures > 0;
  }

  start() {
    if (this.running) return;
    this.running = true;
    document.addEventListener("visibilitychange", this.#visibilityChanged);
    this.#ask();
  }

  stop() {
    this.running = false;
    this.reason = "";
    this.#failures = 0;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#visibilityChanged);
    this.#request?.abort();
    this.#request = null;
  }

  #visibilityChanged = () => {
    clearTimeout(this.#timer);
    if (!this.#request) this.#ask();
  };

  async #ask() {
    if (document.hidden) return;
    const request = (this.#request = new AbortController());
    const limit = setTimeout(() => request.abort(), ANSWER_MS);
    let outcome;
    try {
      outcome = await ask(this.#options.address(), request.signal);
    } catch {
      outcome = { reason: "" };
    }
    clearTimeout(limit);
    if (this.#request !== request) return;
    this.#request = null;
    this.#settle(outcome);
  }

  #settle({ answer, reason = "", wait = 0 }) {
    const recovered = this.failing;
    this.reason = reason;
    this.#failures = answer ? 0 : this.#failures + 1;
    if (answer) this.#options.answered(answer, recovered);
    else this.#options.failed();
    if (this.running) this.#timer = setTimeout(() => this.#ask(), Math.max(wait, this.#pause()));
  }

  #pause() {
    const backedOff = Math.min(BACKOFF_MS * 2 ** (this.#failures - 1), BACKOFF_MAX_MS);
    return (this.failing ? backedOff : this.#options.interval()) * (0.9 + 0.2 * Math.random());
  }
}

/** @returns {Promise<{ answer?: Answer, reason?: string, wait: number }>} */
async function ask(address, signal) {
  const response = await fetch(address, { cache: "no-store", signal });
  const wait = retryAfter(response);
  const body = await response.json();
  const understood = response.ok && typeof body?.cursor === "string" && Array.isArray(body.events);
  return understood ? { answer: body, wait } : { reason: body?.error?.message ?? "", wait };
}

/** Milliseconds the server asks for, which come as seconds or as a date (RFC 9110, section 10.2.3). */
function retryAfter(response) {
  const value = response.headers.get("Retry-After");
  if (!value) return 0;
  return (/^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()) || 0;
}
