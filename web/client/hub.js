/** A hub as a page has it: a store of contents that keeps itself up to date. */
import { HubClock } from "./clock.js";
import { Connection } from "./connection.js";
import { TYPES } from "./content.js";
import { HubError } from "./error.js";
import { origin } from "./origin.js";
import { isHidden, watch } from "./surroundings.js";
import { isPattern, namedBy } from "./topics.js";
import { View } from "./view.js";

/**
 * @typedef {import("./content.js").Content} Content
 * @typedef {import("./view.js").Change} Change
 * @typedef {import("./machine-state.js").State} State
 * @typedef {"status" | "removed" | "reset" | "ready" | "state" | "heartbeat"} EventName
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
  /** Null while what shares the stream is being loaded. @type {Pick<Connection, keyof import("./tabs.js").Tabs> | null} */
  #connection;
  /** @type {Set<string>} */
  #topics = new Set();
  /** Whether a channel is followed. @type {(channel: string) => boolean} */
  #follows = () => false;
  /** @type {Set<string> | null} */
  #wanted;
  /** @type {Map<EventName, Set<(detail: any) => void>>} */
  #listeners = new Map();
  /** @type {Set<() => void>} */
  #subscribers = new Set();
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
      types: new Set([...TYPES, ...types]),
      contentIds: [...(this.#wanted ?? [])],
      transport,
      receiver: {
        message: (message) => this.#apply(message),
        reset: (names) => this.#reset(names),
        whole: (names) => this.#whole(names),
        beat: (time) => this.#beat(time),
        changed: () => this.#told(),
        busy: () => this.#view.busy,
      },
    };
    // A ticket or token may be one for this page's channels; a stream of few contents is no one else's.
    const alone = !(options.share ?? !(ticket || token || contentIds)) || !canShare();
    this.#connection = alone ? new Connection(this.#options) : null;
    if (!alone) this.#join();
    this.#unwatch = watch({ hidden: () => this.#attend(), network: () => {}, asleep: () => {} });
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

  /** While the state is `refused`: what the hub refuses with. @returns {HubError | null} */
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
    // Each subscription counts, also of a function that has subscribed before.
    const own = () => listener();
    this.#subscribers.add(own);
    return () => void this.#subscribers.delete(own);
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
  ready({ signal } = {}) {
    return this.#when(() => (this.#topics.size && this.#connection?.complete ? { value: undefined } : null), signal);
  }

  /**
   * Resolves with a content that is completed or failed. Rejects with a `HubError` where it is removed, or the hub
   * refuses. While it waits, the page keeps its stream also when it is hidden.
   * @param {string} contentId
   * @param {{ channel?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<Content>}
   */
  async until(contentId, { channel, signal } = {}) {
    const letGo = this.keep();
    const added = channel !== undefined && ![...this.#topics].some((topic) => namedBy(topic)(channel));
    if (added) this.add(channel);
    let removed = false;
    const off = this.on("removed", ({ id }) => (removed ||= id === contentId));
    try {
      return await this.#when(() => {
        if (removed) throw new HubError("The content was removed", 404, "removed");
        const content = this.get(contentId, channel);
        return content?.ended ? { value: content } : null;
      }, signal);
    } finally {
      off();
      letGo();
      if (added) this.drop(channel);
    }
  }

  /**
   * Asks for the work on a content to be cancelled. Its worker does so; the content then says how it ended.
   * @param {string} contentId
   * @param {{ channel?: string, reason?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<void>}
   */
  async cancel(contentId, { channel = this.get(contentId)?.channel, reason, signal } = {}) {
    if (channel === undefined) throw new HubError("The channel of this content is not known", 404);
    const { cancel } = await import("./cancel.js");
    await cancel(this.#options, { channel, contentId, reason, signal });
  }

  /** @param {...string} channels */
  add(...channels) {
    for (const topic of channels) {
      if (this.#closed || this.#topics.has(topic)) continue;
      this.#topics.add(topic);
      this.#follows = this.#named([...this.#topics]);
      this.#connection?.follow(topic, this.#since);
    }
    this.#attend();
  }

  /** @param {...string} channels */
  drop(...channels) {
    for (const topic of channels) if (this.#topics.delete(topic)) this.#connection?.unfollow(topic);
    this.#follows = this.#named([...this.#topics]);
    if (this.#view.forget((channel) => !this.#follows(channel))) this.#notify();
  }

  /**
   * `status`, `removed`, `reset` and `ready` have a `Change`, `heartbeat` has `{ timestamp }`; called immediately for each.
   * @param {EventName} event
   * @param {(detail: any) => void} listener
   * @returns {() => void} ends it
   */
  on(event, listener) {
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
    this.#connection = shared ? new shared.Tabs(this.#options) : new Connection(this.#options);
    for (const topic of this.#topics) this.#connection.follow(topic, this.#since);
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
    if (change) {
      this.#emit(change.kind, change);
      this.#notify();
    }
    return true;
  }

  /** @param {string[]} topics */
  #reset(topics) {
    this.#view.void(this.#all(topics) ? undefined : this.#named(topics));
    this.#emit("reset", { kind: "reset" });
    this.#notify();
  }

  /** @param {string[]} topics */
  #whole(topics) {
    this.#view.settle(this.#all(topics) ? undefined : this.#named(topics));
    this.#emit("ready", { kind: "ready" });
    this.#notify();
  }

  /** @param {string[]} topics */
  #all(topics) {
    return topics.length >= this.#topics.size;
  }

  /** @param {string[]} topics @returns {(channel: string) => boolean} */
  #named(topics) {
    const tests = topics.map(namedBy);
    return (channel) => tests.some((test) => test(channel));
  }

  /** @param {string} timestamp */
  #beat(timestamp) {
    this.#clock.told(timestamp);
    this.#emit("heartbeat", { timestamp });
  }

  #told() {
    this.#emit("state", { state: this.state, reason: this.reason });
    this.#notify();
  }

  /**
   * @param {EventName} event
   * @param {any} detail
   */
  #emit(event, detail) {
    for (const listener of this.#listeners.get(event) ?? []) call(listener, detail);
  }

  #notify() {
    this.#version += 1;
    if (this.#scheduled || !this.#subscribers.size) return;
    this.#scheduled = true;
    const tell = () => {
      if (!this.#scheduled) return;
      this.#scheduled = false;
      clearTimeout(timer);
      for (const listener of [...this.#subscribers]) call(listener, undefined);
    };
    const frame = /** @type {typeof requestAnimationFrame | undefined} */ (globalThis.requestAnimationFrame);
    const timer = setTimeout(tell, frame ? FRAME_MS : 0);
    frame?.(tell);
  }

  /**
   * @template T
   * @param {() => { value: T } | null} attempt
   * @param {AbortSignal} [signal]
   * @returns {Promise<T>}
   */
  #when(attempt, signal) {
    return new Promise((resolve, reject) => {
      /** @type {(() => void)[]} */
      const ends = [];
      const end = (/** @type {() => void} */ settle) => {
        for (const off of ends) off();
        settle();
      };
      const look = () => {
        try {
          const found = attempt();
          if (found) return end(() => resolve(found.value));
          if (this.#closed) throw new DOMException("The hub is closed", "AbortError");
          if (this.state === "refused") throw this.error ?? new HubError(this.reason ?? "refused", 403);
        } catch (error) {
          end(() => reject(error));
        }
      };
      const aborted = () => end(() => reject(signal?.reason));
      if (signal?.aborted) return aborted();
      for (const event of /** @type {EventName[]} */ (["status", "removed", "ready", "state"]))
        ends.push(this.on(event, look));
      signal?.addEventListener("abort", aborted);
      ends.push(() => signal?.removeEventListener("abort", aborted));
      look();
    });
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
