/** What a connection has beside its stream: polls in its place, and reads of topics that join later. Loaded on demand. */
import { TOPICS_MAX, isPattern } from "./topics.js";
import { headersOf, isDenied, limited, refusalOf, retryAfter } from "./answer.js";
import { addressOf, failureOf, parsed } from "./transport.js";

export * from "./poll-region.js";

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
 *
 * @typedef {object} Asking
 * @property {string[]} topics
 * @property {(topic: string) => string | null | undefined} since
 * @property {AbortSignal} signal
 * @property {number} [wait]      seconds
 * @property {number} [interval]  milliseconds since the last poll, for the hub's metrics
 * @property {number} [failed]    attempts to open a stream that failed, for the hub's metrics
 */

/**
 * Passes on what an answer says.
 * @param {import("./connection.js").Options} options
 * @param {Answer} answer
 * @param {string[]} topics
 */
export function tellEvents({ receiver, types }, { events }, topics) {
  for (const message of events) if (types.has(message.type)) receiver.message(message, topics);
}

const NO_ANSWER = "The hub does not answer";

/**
 * Polls until there is an answer, a failure, or a grant that is refused for good.
 * @param {import("./connection.js").Options} options
 * @param {Asking} asking
 * @returns {Promise<Outcome>}
 */
export async function poll(options, asking) {
  try {
    const credentials = await options.credentials();
    const grant = (await credentials?.next()) ?? {};
    const outcome = await ask(options, asking, grant);
    if (outcome.denied && credentials?.refused(grant) && !asking.signal.aborted) return poll(options, asking);
    if (outcome.answer) credentials?.taken();
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
async function ask(options, { topics, since, signal, wait, interval, failed }, grant) {
  const address = addressOf("changes", { ...options, topics, since, grant });
  // The poll of several channels needs a pattern, and each channel's name is one that names only that.
  if (topics.length > 1 && !topics.some(isPattern)) {
    if (topics.length === TOPICS_MAX) address.searchParams.delete("channel", topics[0]);
    address.searchParams.append("match", topics[0]);
  }
  for (const [name, value] of Object.entries({ wait, polling: interval, failed })) {
    if (value) address.searchParams.set(name, String(Math.round(value)));
  }
  try {
    const response = await fetch(address, {
      cache: "no-store",
      credentials: options.cookies ? "include" : "same-origin",
      headers: headersOf(grant),
      signal,
    });
    if (!response.ok) return { denied: isDenied(response), failure: await refusalOf(response) };
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
 * @property {(topic: string) => string | null | undefined} since
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
      const { answer, failure, wait = 0 } = outcome;
      const parted = failure?.refused && topics.length > 1;
      if (answer || parted) for (const topic of topics) this.#reads.delete(topic);
      // One of them may be what is refused: each is read by itself.
      if (parted) return void topics.forEach((topic) => this.read([topic]));
      for (const topic of topics) refuse(topic, (failure?.refused && failure.error) || null);
      if (answer) return take(topics, answer);
      if (!wanted()) return this.stop(topics);
      await slept(Math.max(wait, failure?.wait ?? 0, delay * (0.9 + 0.2 * Math.random())), signal);
    }
  }
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

/**
 * @typedef {object} Owner  the connection
 * @property {(event: import("./machine.js").Event) => void} step
 * @property {() => void} restart    with the topics that have joined
 * @property {() => boolean} wanted  whether to go on reading
 */

export class Polls {
  #options;
  #topics;
  #owner;
  #reader;

  /**
   * @param {import("./connection.js").Options} options
   * @param {import("./followed.js").Followed<import("./connection.js").Topic>} topics
   * @param {Owner} owner
   */
  constructor(options, topics, owner) {
    this.#options = options;
    this.#topics = topics;
    this.#owner = owner;
    this.#reader = new Reader(options, {
      since: topics.since,
      take: (names, answer) => {
        topics.edit(names, { joined: true });
        this.#take(answer, names);
        owner.restart();
      },
      refuse: (name, refusal) => {
        const { refused } = options.receiver;
        if (refused) return refused(name, refusal);
        topics.edit([name], { refusal });
        owner.step({ type: "tick" });
      },
      wanted: owner.wanted,
    });
  }

  /** Reads the topics that have not joined, and are not being read. */
  readRest() {
    const rest = [...this.#topics].filter(([name, { joined }]) => !joined && !this.#reader.has(name));
    this.#reader.read(rest.map(([name]) => name));
  }

  /** @param {string[]} [names]  by default all */
  stop(names) {
    this.#reader.stop(names);
  }

  /**
   * @param {Asking & { same: (topics: string[]) => string[] }} asking  `same` chooses those that are
   *   still followed as they were
   */
  async ask(asking) {
    const { receiver } = this.#options;
    const { topics, same, signal } = asking;
    const { answer, failure, wait } = await poll(this.#options, asking);
    if (signal.aborted) return;
    if (answer) {
      this.#take(answer, same(topics));
      this.#owner.step({ type: "answered", events: answer.events.length, busy: receiver.busy(), wait });
    } else if (failure?.refused && (topics.length > 1 || receiver.refused)) {
      // One of them may be what is refused: each is read by itself.
      this.#topics.edit(topics, { joined: false });
      this.readRest();
      this.#owner.restart();
    } else this.#owner.step({ type: "failed", failure });
  }

  /**
   * @param {Answer} answer
   * @param {string[]} names
   */
  #take(answer, names) {
    const { receiver } = this.#options;
    if (answer.reset) this.#topics.reset(names, receiver);
    tellEvents(this.#options, answer, names);
    this.#topics.settle(names, receiver, answer.cursor);
  }
}
