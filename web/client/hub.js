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
 * @typedef {import("./tabs.js").Tabs | Connection} Link
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
  /** None while what shares the stream is being loaded. @type {Link | undefined} */
  #connection;
  /** @type {Set<string>} */
  #topics = new Set();
  /** Whether a channel is followed. @type {(channel: string) => boolean} */
  #follows = () => false;
  /** @type {Set<string> | undefined} */
  #wanted;
  /** @type {Map<EventName, Set<(detail: any) => void>>} */
  #listeners = new Map();
  /** Why a hidden page keeps its stream. @type {Set<() => void>} */
  #holds = new Set();
  #version = 0;
  #scheduled = false;
  #closed = false;
  #since;
  #unwatch;
  /** Once they are loaded. @type {import("./credentials.js").Credentials | undefined} */
  #credentials;

  /** @param {Options} options */
  constructor({
    url,
    channels = [],
    match,
    contentIds,
    since,
    transport = "auto",
    types = [],
    signal,
    ticket,
    token,
    credentials: cookies = false,
    // A ticket or token may be one for this page's channels; a stream of few contents is no one else's.
    share = !(ticket || token || contentIds),
  }) {
    const shared = share && globalThis.BroadcastChannel && globalThis.navigator?.locks;
    this.#since = since;
    this.#wanted = contentIds && new Set(contentIds);
    /** @type {import("./connection.js").Options} */
    this.#options = {
      hub: new URL(url ?? origin(), globalThis.document?.baseURI),
      credentials: async () => {
        if (!ticket && !token) return;
        const { Credentials } = await import("./credentials.js");
        return (this.#credentials ??= new Credentials({ ticket, token }));
      },
      cookies,
      types: new Set([...TYPES, REMOVED, DELTA, ...types]),
      contentIds: [...(this.#wanted ?? [])],
      transport,
      receiver: {
        message: (message, topics) => this.#apply(message, topics),
        reset: (names) => {
          this.#view.void(namedBy(...names), names.length >= this.#topics.size);
          this.#tell("reset", { kind: "reset" });
        },
        whole: (names) => {
          this.#view.settle(namedBy(...names));
          this.#tell("ready", { kind: "ready" });
        },
        beat: (timestamp) => {
          this.#clock.told(timestamp);
          this.#emit("heartbeat", { timestamp });
        },
        changed: () => this.#closed || this.#told(),
        busy: () => this.contents().some(({ ended, phase }) => !ended && phase !== "idle"),
      },
    };
    if (shared) this.#join();
    else this.#connection = new Connection(this.#options);
    this.#unwatch = watch({ hidden: () => this.#attend() });
    this.add(...channels);
    if (match !== undefined) this.add(match);
    if (!this.#topics.size && this.#wanted) this.add("**");
    if (signal?.aborted) this.close();
    else signal?.addEventListener("abort", () => this.close());
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
    return [...new Set([...this.#topics, ...this.#view.channels()])].filter((name) => !isPattern(name));
  }

  /**
   * Calls the listener after changes of contents or of the state, at most once an animation frame.
   * @param {() => void} listener
   * @returns {() => void} ends it
   */
  subscribe(listener) {
    return this.on("frame", listener);
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
          if (!Object.is(before, (before = get()))) listener();
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
    const complete = () => this.#topics.size > 0 && this.#connection?.topics.complete;
    if (complete() && !signal?.aborted) return;
    const { found } = await import("./wait.js");
    await found(this, complete, signal);
  }

  /**
   * Resolves with a content that is completed or failed. Rejects with a `HubError` where it is removed, or the hub
   * refuses. While it waits, the page keeps its stream also when it is hidden.
   * @param {string} contentId
   * @param {{ channel?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<Content>}
   */
  async until(contentId, options = {}) {
    const { channel } = options;
    const added = channel !== undefined && !this.#follows(channel) ? [channel] : [];
    this.add(...added);
    let removed = false;
    const ends = [this.keep(), this.on("removed", ({ id }) => (removed ||= id === contentId))];
    try {
      const { ended } = await import("./wait.js");
      return await ended(this, { contentId, ...options, removed: () => removed });
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
  async cancel(contentId, options) {
    const { cancel } = await import("./cancel.js");
    await cancel(this.#options, this, contentId, options);
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
    for (const topic of channels) {
      this.#topics.delete(topic);
      this.#connection?.unfollow(topic);
    }
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
    const end = () => {
      if (this.#holds.delete(end)) this.#attend();
    };
    this.#holds.add(end);
    this.#attend();
    return end;
  }

  /** Connects now, in every state; for use after a sign-in. Nothing is missed or repeated. */
  retry() {
    this.#connection?.retry();
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
    const shared = await import("./tabs.js").catch(() => undefined);
    if (this.#closed) return;
    const alone = () => this.#use(new Connection(this.#options));
    if (shared) this.#use(new shared.Tabs(this.#options, Connection, alone));
    else alone();
  }

  /** @param {Link} connection  which begins where the one before was */
  #use(connection) {
    const before = this.#connection?.topics;
    this.#connection = connection;
    for (const topic of this.#topics) connection.follow(topic, before ? before.since(topic) : this.#since);
    this.#attend();
    this.#told();
  }

  #attend() {
    this.#connection?.attend(this.#holds.size > 0 || !isHidden());
  }

  /**
   * @param {import("./view.js").Message} message
   * @param {string[]} topics  of those that were asked for, the ones that have not been dropped since
   */
  #apply(message, topics) {
    const { content_id, channel_id } = message.data ?? {};
    const named = topics.length < this.#topics.size ? namedBy(...topics) : this.#follows;
    // What was on its way of a channel that is followed no longer, or that is followed anew.
    if (!named(channel_id) || this.#wanted?.has(content_id) === false) return true;
    const change = this.#view.apply(message);
    if (change === "misfit") return false;
    if (change) this.#tell(change.kind, change);
    return true;
  }

  #told() {
    this.#tell("state", { state: this.state, reason: this.reason });
  }

  /**
   * @param {EventName} event
   * @param {any} detail
   */
  #tell(event, detail) {
    this.#emit(event, detail);
    this.#notify();
  }

  /**
   * @param {EventName} event
   * @param {any} [detail]
   */
  #emit(event, detail) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(detail);
      } catch (error) {
        // It is no reason to miss what follows.
        setTimeout(() => {
          throw error;
        });
      }
    }
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
