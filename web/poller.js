/** Polls for changes while it runs. It pauses while the tab is hidden, and polls immediately when it shows again. */

/** Deadline for an answer. */
const ANSWER_MS = 20_000;

/** Exponential back-off after failures: a restart takes seconds, an outage minutes. */
const BACKOFF_MS = 3_000;
const BACKOFF_MAX_MS = 30_000;

/** The back-off's maximum while the credentials are refused: only new ones help, which are rare. */
const REFUSED_MAX_MS = 120_000;

/** Error codes of the hub that refuse the credentials. A proxy's refusal has no code. */
const REFUSALS = ["unauthorized", "forbidden"];

/**
 * @typedef {{ cursor: string, reset: boolean, events: import("./client.js").Status[] }} Answer
 * @typedef {{ answer?: Answer, reason?: string, refused?: boolean, wait?: number }} Outcome
 */

export class Poller {
  #options;
  #failures = 0;
  #timer = 0;
  /** @type {AbortController | null} */
  #request = null;

  running = false;

  /** Why the last attempt failed, where that is known; empty after an answer. */
  reason = "";

  /** Whether it failed because the hub refused the credentials. */
  refused = false;

  /**
   * @param {{
   *   address: () => Promise<URL>,
   *   credentials: RequestCredentials,
   *   interval: () => number,
   *   refused: (address: URL) => boolean,
   *   answered: (answer: Answer, recovered: boolean) => void,
   *   failed: () => void,
   * }} options
   *   `address` may reject, with the reason; `interval` is in milliseconds; `refused` is called with a URL that was
   *   answered 401 or 403, and returns whether to retry immediately with a new one; `recovered`: the previous attempt
   *   failed
   */
  constructor(options) {
    this.#options = options;
  }

  get failing() {
    return this.#failures > 0;
  }

  /** @param {Outcome} [failure]  the outcome of an attempt elsewhere: the first one here waits as after a failure */
  start(failure) {
    if (this.running) return;
    this.running = true;
    document.addEventListener("visibilitychange", this.#visibilityChanged);
    if (failure) this.#settle(failure);
    else this.#ask();
  }

  stop() {
    this.running = false;
    this.reason = "";
    this.refused = false;
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
    const outcome = await Promise.race([this.#attempt(request.signal), aborted(request.signal)]);
    clearTimeout(limit);
    if (this.#request !== request) return;
    this.#request = null;
    this.#settle(outcome);
  }

  /** @returns {Promise<Outcome>} */
  async #attempt(signal) {
    const { address, credentials, refused } = this.#options;
    let url;
    try {
      url = await address();
    } catch (error) {
      return failureOf(error);
    }
    try {
      const { status, ...outcome } = await ask(url, { cache: "no-store", credentials, signal });
      return (status === 401 || status === 403) && refused(url) ? this.#attempt(signal) : outcome;
    } catch {
      return {};
    }
  }

  /** @param {Outcome} outcome */
  #settle({ answer, reason = "", refused = false, wait = 0 }) {
    const recovered = this.failing;
    this.reason = reason;
    this.refused = refused;
    this.#failures = answer ? 0 : this.#failures + 1;
    if (answer) this.#options.answered(answer, recovered);
    else this.#options.failed();
    if (this.running) this.#timer = setTimeout(() => this.#ask(), Math.max(wait, this.#pause()));
  }

  #pause() {
    const most = this.refused ? REFUSED_MAX_MS : BACKOFF_MAX_MS;
    const backedOff = Math.min(BACKOFF_MS * 2 ** (this.#failures - 1), most);
    return (this.failing ? backedOff : this.#options.interval()) * (0.9 + 0.2 * Math.random());
  }
}

/** The outcome where the page's own function threw. @returns {Outcome} */
export function failureOf(error) {
  return { reason: error?.message ?? String(error) };
}

/** @returns {Promise<Outcome & { status: number }>} */
async function ask(address, options) {
  const response = await fetch(address, options);
  const { status } = response;
  const wait = retryAfter(response);
  const body = await response.json();
  const understood = response.ok && typeof body?.cursor === "string" && Array.isArray(body.events);
  if (understood) return { status, answer: body, wait };
  const { code, message = "" } = body?.error ?? {};
  return { status, reason: message, refused: REFUSALS.includes(code), wait };
}

/** Settles when the signal aborts: a page's own function may never settle. @returns {Promise<Outcome>} */
function aborted(signal) {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve({})));
}

/** Milliseconds in `Retry-After`, which has seconds or a date (RFC 9110, section 10.2.3); 0 without one. */
function retryAfter(response) {
  const value = response.headers.get("Retry-After");
  if (!value) return 0;
  return (/^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()) || 0;
}
