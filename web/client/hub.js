/** A hub as a page has it: a store of contents that keeps itself up to date. */
import { HubClock } from "./clock.js";
import { Connection } from "./connection.js";
import { DELTA, REMOVED, TYPES } from "./content.js";
import { origin } from "./origin.js";
import { isHidden, watch } from "./surroundings.js";
import { isPattern, namedBy } from "./topics.js";
import { View } from "./view.js";

/**
 * @typedef {import("./content.js").Content} Content
 * @typedef {import("./view.js").Change} Change
 * @typedef {import("./machine-state.js").State} State
 * @typedef {"status" | "removed" | "reset" | "ready" | "state" | "heartbeat" | "frame"} EventName
 * @typedef {Omit<import("./tabs.js").Tabs, "topics"> & { topics: { complete: boolean } }} Link
 *
 * @typedef {object} Options
 * @property {string | URL} [url]  the hub's; by default that of the hub which serves this module, or the page's origin
 * @property {Iterable<string>} [channels]
 * @property {string} [match]      a pattern of channels, such as "jobs/**"
 * @property {Iterable<string>} [contentIds]  only these contents
 * @property {string} [since]      a cursor: only what changes after it, instead of the whole state
 * @property {"auto" | "sse" | "websocket" | "polling"} [transport]  which is tried first; polls stand in for all
 * @property {() => string | Promise<string>} [ticket]  called for each stream, and when the last one has run out
 * @property {string | (() => string | Promise<string>)} [token]  the function is called when the last one is refused
 * @property {boolean} [credentials]  cookies to a hub of another origin
 * @property {Iterable<string>} [types]  your own event types, beside the hub's
 * @property {AbortSignal} [signal]  closes it
 * @property {boolean} [share]  one stream for all tabs of this origin
 */

/** After this, listeners are called without an animation frame: a hidden page has none. */
const FRAME_MS = 250;

/** @implements {AsyncIterable<Change>} */
export class Hub {
  #view = new View();
  #clock = new HubClock();
  #options;
  /** Null while what shares the stream is being loaded. @type {Link | null} */
  #connection;
  /** @type {Set<string>} */
  #topics = new Set();
  /** Whether a channel is followed. @type {(channel: string) => boolean} */
  #follows = () => false;
  /** @type {Set<string> | null} */
  #wanted;
  /** @type {Map<EventName, Set<(detail: any) => void>>} */
  #listeners = new Map();
  /** Why a hidden page keeps its stream. @type {Set<symbol>} */
  #holds = new Set();
  #version = 0;
  #scheduled = false;
  #closed = false;
  #since;
  #unwatch;

  /** @param {Options} options */
  constructor({ url, channels = [], match, contentIds, since, transport = "auto", types = [], signal, ...options }) {
    const { ticket, token } = options;
    this.#since = since ?? null;
    this.#wanted = contentIds ? new Set(contentIds) : null;
    /** @type {import("./connection.js").Options} */
    this.#options = {
      hub: new URL(url ?? origin(), globalThis.document?.baseURI),
      credentials: ticket || token ? proofOf({ ticket, token }) : COOKIES,
      cookies: options.credentials ?? false,
      types: new Set([...TYPES, REMOVED, DELTA, ...types]),
      contentIds: [...(this.#wanted ?? [])],
      transport,
      receiver: {
        message: (message) => this.#apply(message),
        reset: (names) => {
          this.#view.void(this.#scope(names));
          this.#changed({ kind: "reset" });
        },
        whole: (names) => {
          this.#view.settle(this.#scope(names));
          this.#changed({ kind: "ready" });
        },
        beat: (timestamp) => {
          this.#clock.told(timestamp);
          this.#emit("heartbeat", { timestamp });
        },
        changed: () => this.#closed || this.#told(),
        busy: () => this.#view.busy,
      },
    };
    // A ticket or token may be one for this page's channels; a stream of few contents is no one else's.
    const alone = !(options.share ?? !(ticket || token || contentIds)) || !canShare();
    this.#connection = alone ? new Connection(this.#options) : null;
    if (!alone) this.#join();
    this.#unwatch = watch({ hidden: () => this.#attend() });
    this.add(...channels, ...(match === undefined ? [] : [match]));
    if (!this.#topics.size && this.#wanted) this.add("**");
    if (signal?.aborted) this.close();
    else signal?.addEventListener("abort", () => this.close(), { once: true });
  }

  /** @returns {State} */
  get state() {
    return this.#closed ? "closed" : (this.#connection?.state ?? "connecting");
  }

  /** Why the hub does not answer, or refuses. @returns {string | null} */
  get reason() {
    return this.#connection?.reason ?? null;
  }

  /** While the state is `refused`: what the hub refuses with. @returns {import("./error.js").HubError | null} */
  get error() {
    return this.#connection?.error ?? null;
  }

  /** Whether polls stand in for a stream that failed. */
  get failing() {
    return this.#connection?.failing ?? false;
  }

  /** Milliseconds to add to `Date.now()` for the hub's time. */
  get clockOffset() {
    return this.#clock.offset;
  }

  /**
   * @param {string} contentId
   * @param {string} [channel]
   * @returns {Content | undefined}
   */
  get(contentId, channel) {
    return this.#view.get(contentId, channel);
  }

  /**
   * The newest change first; the same array while nothing changes.
   * @param {string} [channel]
   * @returns {readonly Content[]}
   */
  contents(channel) {
    return this.#view.list(channel);
  }

  /** The channels that are followed; of a pattern, those that have contents. @returns {readonly string[]} */
  channels() {
    const named = [...this.#topics].filter((topic) => !isPattern(topic));
    return [...new Set([...named, ...this.#view.channels()])];
  }

  /**
   * Calls the listener after changes of contents or of the state, at most once an animation frame.
   * @param {() => void} listener
   * @returns {() => void} ends it
   */
  subscribe(listener) {
    return this.on("frame", () => listener());
  }

  /**
   * A part of what is known, whose listeners are called only when it changes.
   * @template T
   * @param {(hub: Hub) => T} choose
   * @param {(one: T, other: T) => boolean} [equal]
   */
  select(choose, equal = Object.is) {
    let version = -1;
    /** @type {T} */
    let value;
    const get = () => {
      if (version !== this.#version) {
        const next = choose(this);
        if (version < 0 || !equal(value, next)) value = next;
        version = this.#version;
      }
      return value;
    };
    return {
      get,
      /** @param {() => void} listener */
      subscribe: (listener) => {
        let before = get();
        return this.subscribe(() => {
          if (Object.is(before, get())) return;
          before = value;
          listener();
        });
      },
    };
  }

  /**
   * Resolves when the whole state of all channels is here. Rejects with a `HubError` where the hub refuses.
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<void>}
   */
  async ready({ signal } = {}) {
    const { found } = await import("./wait.js");
    await found(
      this,
      () => (this.#topics.size && this.#connection?.topics.complete ? { value: undefined } : null),
      signal,
    );
  }

  /**
   * Resolves with a content that is completed or failed. Rejects with a `HubError` where it is removed, or the hub
   * refuses. While it waits, the page keeps its stream also when it is hidden.
   * @param {string} contentId
   * @param {{ channel?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<Content>}
   */
  async until(contentId, { channel, signal } = {}) {
    const added = channel !== undefined && !this.#follows(channel) ? [channel] : [];
    this.add(...added);
    let removed = false;
    const ends = [this.keep(), this.on("removed", ({ id }) => (removed ||= id === contentId))];
    try {
      const { ended } = await import("./wait.js");
      return await ended(this, { contentId, channel, signal, removed: () => removed });
    } finally {
      for (const end of ends) end();
      this.drop(...added);
    }
  }

  /**
   * Asks for the work on a content to be cancelled. Its worker does so; the content then says how it ended.
   * @param {string} contentId
   * @param {{ channel?: string, reason?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<void>}
   */
  async cancel(contentId, { channel = this.get(contentId)?.channel, reason, signal } = {}) {
    const { cancel } = await import("./cancel.js");
    await cancel(this.#options, { channel, contentId, reason, signal });
  }

  /** @param {...string} channels */
  add(...channels) {
    for (const topic of channels) {
      if (this.#closed || this.#topics.has(topic)) continue;
      this.#topics.add(topic);
      this.#follows = namedBy(...this.#topics);
      this.#connection?.follow(topic, this.#since);
    }
    this.#attend();
  }

  /** @param {...string} channels */
  drop(...channels) {
    for (const topic of channels) if (this.#topics.delete(topic)) this.#connection?.unfollow(topic);
    this.#follows = namedBy(...this.#topics);
    if (this.#view.forget((channel) => !this.#follows(channel))) this.#notify();
  }

  /**
   * `status`, `removed`, `reset` and `ready` have a `Change`, `heartbeat` has `{ timestamp }`; called immediately for each.
   * `frame` comes after changes, see `subscribe`.
   * @param {EventName} event
   * @param {(detail: any) => void} listener
   * @returns {() => void} ends it
   */
  on(event, listener) {
    // Each subscription counts, also of a function that has subscribed before.
    const own = (/** @type {any} */ detail) => listener(detail);
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(own));
    return () => void listeners.delete(own);
  }

  /**
   * Keeps the stream while the page is hidden, for those who show progress in a title, or notify.
   * @returns {() => void} ends it
   */
  keep() {
    const hold = Symbol("hold");
    this.#holds.add(hold);
    this.#attend();
    return () => {
      if (this.#holds.delete(hold)) this.#attend();
    };
  }

  /** Connects now, in every state; for use after a sign-in. Nothing is missed or repeated. */
  retry() {
    if (!this.#closed) this.#connection?.retry();
  }

  /** Closes it for good: no connection and no timer remains. What was known stays readable. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    this.#connection?.close();
    this.#told();
  }

  /**
   * The contents that are here, then each change; of a content that changes faster than it is read, the last.
   * @returns {AsyncGenerator<Change, void>}
   */
  async *[Symbol.asyncIterator]() {
    const { changesOf } = await import("./changes.js");
    yield* changesOf(this);
  }

  async #join() {
    const shared = await import("./tabs.js").catch(() => null);
    if (this.#closed) return;
    /** @param {(topic: string) => string | null} [since] */
    const alone = (since) => this.#use(new Connection(this.#options), since);
    if (!shared) return alone();
    const tabs = new shared.Tabs(this.#options, () => alone(tabs.topics.since));
    this.#use(tabs);
  }

  /**
   * @param {Link} connection
   * @param {(topic: string) => string | null} [since]
   */
  #use(connection, since = () => this.#since) {
    this.#connection = connection;
    for (const topic of this.#topics) connection.follow(topic, since(topic));
    this.#attend();
    this.#told();
  }

  #attend() {
    this.#connection?.attend(this.#holds.size > 0 || !isHidden());
  }

  /** @param {import("./view.js").Message} message */
  #apply(message) {
    const { content_id, channel_id } = message.data ?? {};
    // What was on its way of a channel that is followed no longer.
    if (!this.#follows(channel_id) || (this.#wanted && !this.#wanted.has(content_id))) return true;
    const change = this.#view.apply(message);
    if (change === "misfit") return false;
    if (change) this.#changed(change);
    return true;
  }

  /** @param {Change} change */
  #changed(change) {
    this.#emit(change.kind, change);
    this.#notify();
  }

  /** What the topics name; undefined where it is all. @param {string[]} topics */
  #scope(topics) {
    return topics.length < this.#topics.size ? namedBy(...topics) : undefined;
  }

  #told() {
    this.#emit("state", { state: this.state, reason: this.reason });
    this.#notify();
  }

  /**
   * @param {EventName} event
   * @param {any} [detail]
   */
  #emit(event, detail) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) call(listener, detail);
  }

  #notify() {
    this.#version += 1;
    if (this.#scheduled || !this.#listeners.get("frame")?.size) return;
    this.#scheduled = true;
    const tell = () => {
      if (!this.#scheduled) return;
      this.#scheduled = false;
      clearTimeout(timer);
      this.#emit("frame");
    };
    const frame = /** @type {typeof requestAnimationFrame | undefined} */ (globalThis.requestAnimationFrame);
    const timer = setTimeout(tell, frame ? FRAME_MS : 0);
    frame?.(tell);
  }
}

/**
 * A listener that throws is no reason to miss what follows.
 * @param {(detail: any) => void} listener
 * @param {any} detail
 */
function call(listener, detail) {
  try {
    listener(detail);
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
}

function canShare() {
  return "BroadcastChannel" in globalThis && Boolean(globalThis.navigator?.locks);
}

/** Pages of the hub's origin have a cookie, or need none. @type {import("./connection.js").Proof} */
const COOKIES = { header: false, next: async () => ({}), taken: () => {}, outdated: () => false, refused: () => false };

/** @param {import("./credentials.js").Given} given */
async function proofOf(given) {
  const { Credentials } = await import("./credentials.js");
  return new Credentials(given);
}
