/** Polls for what has changed, and reads of what joins later. */
import { TOPICS_MAX, addressOf, isPattern } from "./topics.js";
import { headersOf, limited, refusalOf, retryAfter } from "./answer.js";
import { addTo, earliest, parsed } from "./transport.js";

/**
 * @typedef {object} Answer
 * @property {string} cursor
 * @property {boolean} reset
 * @property {import("./view.js").Message[]} events
 *
 * @typedef {object} Outcome  an answer, or why there is none
 * @property {Answer} [answer]
 * @property {number} [wait]  milliseconds that the hub asks to wait
 * @property {boolean} [denied]  it refuses the grant
 * @property {import("./machine-state.js").Failure} [failure]
 * @property {import("./error.js").HubError} [error]
 *
 * @typedef {object} Asking
 * @property {string[]} topics
 * @property {(topic: string) => string | null} since
 * @property {AbortSignal} signal
 * @property {number} [wait]      seconds
 * @property {number} [interval]  milliseconds since the last poll, for the hub's metrics
 * @property {number} [failed]    attempts to open a stream that failed, for the hub's metrics
 */

const NO_ANSWER = "The hub does not answer";

/**
 * Polls until there is an answer, a failure, or a grant that is refused for good.
 * @param {import("./connection.js").Options} options
 * @param {Asking} asking
 * @returns {Promise<Outcome>}
 */
export async function poll(options, asking) {
  try {
    const credentials = await options.credentials;
    const grant = await credentials.next();
    const outcome = await ask(options, asking, grant);
    if (outcome.denied && credentials.refused(grant) && !asking.signal.aborted) return poll(options, asking);
    if (outcome.answer) credentials.taken();
    return outcome;
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

/**
 * @param {import("./connection.js").Options} options
 * @param {Asking} asking
 * @param {import("./credentials.js").Grant} grant
 * @returns {Promise<Outcome>}
 */
async function ask({ hub, contentIds, cookies }, { topics, since, signal, wait, interval, failed }, grant) {
  const address = addressOf(hub, topics, "changes");
  // The poll of several channels needs a pattern, and each channel's name is one that names only that.
  if (topics.length > 1 && !topics.some(isPattern)) {
    if (topics.length === TOPICS_MAX) address.searchParams.delete("channel", topics[0]);
    address.searchParams.append("match", topics[0]);
  }
  addTo(address, { since: earliest(topics, since), contentIds, grant });
  for (const [name, value] of Object.entries({ wait, polling: interval, failed })) {
    if (value) address.searchParams.set(name, String(Math.round(value)));
  }
  try {
    const response = await fetch(address, {
      cache: "no-store",
      credentials: cookies ? "include" : "same-origin",
      headers: headersOf(grant),
      signal,
    });
    if (!response.ok) return { denied: [401, 403].includes(response.status), ...(await refusalOf(response)) };
    const answer = parsed(await response.text());
    if (typeof answer?.cursor !== "string" || !Array.isArray(answer.events)) return { failure: { reason: NO_ANSWER } };
    return { answer, wait: retryAfter(response) };
  } catch {
    return { failure: { reason: NO_ANSWER } };
  }
}

/** Deadline for reading topics. */
const ANSWER_MS = 20_000;

/** Before topics that could not be read are read again: the first delay, doubled with each failure, and the last. */
const READ_MS = 2_000;
const READ_MAX_MS = 120_000;

/**
 * @typedef {object} Reading
 * @property {(topic: string) => string | null} since
 * @property {(topics: string[], answer: Answer) => void} take
 * @property {(topic: string, error: import("./error.js").HubError | null) => void} refuse  or null: refused no longer
 * @property {() => boolean} wanted  whether to go on
 */

/** Reads the state of topics by themselves, again and again until that works, so that they can join a stream. */
export class Reader {
  #options;
  #reading;
  /** @type {Map<string, AbortController>} */
  #reads = new Map();

  /**
   * @param {import("./connection.js").Options} options
   * @param {Reading} reading
   */
  constructor(options, reading) {
    this.#options = options;
    this.#reading = reading;
  }

  /** @param {string} topic */
  has(topic) {
    return this.#reads.has(topic);
  }

  /** @param {Iterable<string>} [topics]  by default all */
  stop(topics = [...this.#reads.keys()]) {
    for (const topic of topics) {
      this.#reads.get(topic)?.abort();
      this.#reads.delete(topic);
    }
  }

  /**
   * Reads topics that are not being read.
   * @param {string[]} topics
   */
  async read(topics) {
    if (!topics.length) return;
    const { since, take, refuse, wanted } = this.#reading;
    const controller = new AbortController();
    const { signal } = controller;
    for (const topic of topics) this.#reads.set(topic, controller);
    for (let delay = READ_MS; ; delay = Math.min(delay * 2, READ_MAX_MS)) {
      const outcome = await poll(this.#options, { topics, since, signal: limited(signal, ANSWER_MS) });
      // Of topics that were read in one go, some may have been left meanwhile.
      topics = topics.filter((topic) => this.#reads.get(topic) === controller);
      if (!topics.length) return;
      const { answer, failure, error, wait = 0 } = outcome;
      const parted = failure?.refused && topics.length > 1;
      if (answer || parted) for (const topic of topics) this.#reads.delete(topic);
      // One of them may be what is refused: each is read by itself.
      if (parted) return void topics.forEach((topic) => this.read([topic]));
      for (const topic of topics) refuse(topic, (failure?.refused && error) || null);
      if (answer) return take(topics, answer);
      if (!wanted()) return this.stop(topics);
      await slept(Math.max(wait, failure?.wait ?? 0, delay * (0.9 + 0.2 * Math.random())), signal);
    }
  }
}

/**
 * Of the page's own function, which threw.
 * @param {any} error
 * @returns {import("./machine-state.js").Failure}
 */
export function failureOf(error) {
  return { reason: error?.message ?? String(error) };
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>} also where the signal aborts
 */
function slept(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
