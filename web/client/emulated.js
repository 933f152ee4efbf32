/**
 * A hub with the interface of an `EventSource` or of a `WebSocket` of one channel, for code that was written for these.
 * Any number of them share one stream, and each begins with the whole state, as one of its own would.
 */
import { REMOVED } from "./content.js";

/**
 * @typedef {import("./index.js").Content} Content
 * @typedef {import("./index.js").Hub} Hub
 * @typedef {import("./lazy.js").LazyHub} LazyHub
 */

/** @typedef {(event: any) => void} Handler */

const CONNECTING = 0;
const OPEN = 1;

/** What both have. It is silent until `attach`. */
class Emulated extends EventTarget {
  /** @type {Handler | null} */
  onopen = null;
  /** @type {Handler | null} */
  onmessage = null;
  /** Called when real time has failed, and not at a reconnect. @type {Handler | null} */
  onerror = null;
  readyState = CONNECTING;
  channel;
  #lazy;
  /** The `readyState` of one that is closed. */
  #closedState;
  #closed = false;
  /** @type {Hub | null} */
  #hub = null;
  /** @type {(() => void)[]} */
  #unlisten = [];
  #detach = () => {};

  /**
   * @param {LazyHub} lazy
   * @param {string} channel
   * @param {number} closedState
   */
  constructor(lazy, channel, closedState) {
    super();
    this.#lazy = lazy;
    this.channel = channel;
    this.#closedState = closedState;
  }

  /** Of what it stands for. */
  get url() {
    return this.address(this.#lazy).href;
  }

  /**
   * Begins with the whole state, in a microtask: who has made it listens by then. It may be detached and attached again.
   * @returns {() => void}  detaches it
   */
  attach() {
    let attached = !this.#closed;
    if (!attached) return () => {};
    const look = () => attached && this.#look();
    const unfollow = this.#lazy.follow([this.channel], look);
    queueMicrotask(look);
    this.#detach = () => {
      attached = false;
      unfollow();
      this.#leave();
    };
    return () => this.#detach();
  }

  close() {
    this.#closed = true;
    this.#detach();
    this.readyState = this.#closedState;
  }

  #leave() {
    for (const unlisten of this.#unlisten) unlisten();
    this.#unlisten = [];
    this.#hub = null;
  }

  #look() {
    const { hub } = this.#lazy.view;
    if (hub !== this.#hub) this.#enter(hub);
    this.#state();
  }

  /** @param {Hub | null} hub */
  #enter(hub) {
    this.#leave();
    this.#hub = hub;
    if (!hub) return;
    this.#unlisten = [
      hub.on("status", (/** @type {{ content: Content }} */ { content }) => this.#said(content)),
      hub.on("removed", (/** @type {{ id: string, channel: string }} */ { id, channel }) => {
        if (channel === this.channel) this.tell(REMOVED, { content_id: id, channel_id: channel });
      }),
      hub.on("reset", () => this.tell("reset", {})),
      hub.on("ready", () => this.tell("ready", {})),
      hub.on("heartbeat", (/** @type {any} */ detail) => this.tell("heartbeat", detail ?? {})),
      hub.on("state", () => this.#state()),
    ];
    this.#state();
    for (const content of [...hub.contents(this.channel)].reverse()) this.#said(content);
    if (this.#lazy.view.ready) this.tell("ready", {});
  }

  /** @param {Content} content */
  #said({ channel, type, data, cursor }) {
    if (channel === this.channel) this.tell(type, data, cursor);
  }

  #state() {
    const hub = this.#hub;
    if (!hub || this.#closed) return;
    const failed = hub.failing || hub.state === "refused" || hub.state === "closed";
    const state = hub.state === "live" ? OPEN : failed ? this.#closedState : CONNECTING;
    if (state === this.readyState) return;
    this.readyState = state;
    if (state === OPEN) this.fire(new Event("open"));
    if (state === this.#closedState) this.failed();
  }

  /**
   * @param {LazyHub} lazy
   * @returns {URL}
   */
  address(lazy) {
    return lazy.address(this.channel, "events");
  }

  failed() {
    this.fire(new Event("error"));
  }

  /**
   * @param {string} type
   * @param {Record<string, any>} data
   * @param {string} [cursor]
   */
  tell(type, data, cursor) {
    void [type, data, cursor];
  }

  /** @param {Event} event */
  fire(event) {
    const handler = Reflect.get(this, `on${event.type}`);
    if (typeof handler === "function") handler.call(this, event);
    this.dispatchEvent(event);
  }
}

/**
 * As `EventSource`: an event of each type and, for those who listen to `message`, all events, whose data then have their
 * `type`. `error` means that real time has failed, and that the events now come from polls.
 */
export class ContentEvents extends Emulated {
  static CONNECTING = CONNECTING;
  static OPEN = OPEN;
  static CLOSED = 2;

  /**
   * @param {LazyHub} lazy
   * @param {string} channel
   */
  constructor(lazy, channel) {
    super(lazy, channel, ContentEvents.CLOSED);
  }

  /**
   * @param {string} type
   * @param {Record<string, any>} data
   * @param {string} [cursor]
   * @override
   */
  tell(type, data, cursor = "") {
    const init = { lastEventId: cursor, origin: new URL(this.url).origin };
    this.fire(new MessageEvent(type, { ...init, data: JSON.stringify(data) }));
    this.fire(new MessageEvent("message", { ...init, data: JSON.stringify({ ...data, type }) }));
  }
}

/** As `WebSocket`: every message is text, `{"type","id","data"}` for an event. */
export class ContentSocket extends Emulated {
  static CONNECTING = CONNECTING;
  static OPEN = OPEN;
  static CLOSING = 2;
  static CLOSED = 3;
  /** @type {Handler | null} */
  onclose = null;

  /**
   * @param {LazyHub} lazy
   * @param {string} channel
   */
  constructor(lazy, channel) {
    super(lazy, channel, ContentSocket.CLOSED);
  }

  /** @param {LazyHub} lazy @override */
  address(lazy) {
    const address = lazy.address(this.channel, "ws");
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    return address;
  }

  /**
   * @param {string} type
   * @param {Record<string, any>} data
   * @param {string} [id]
   * @override
   */
  tell(type, data, id) {
    this.#receive(id ? { type, id, data } : { type, channel_id: this.channel, ...data });
  }

  /**
   * The channel is followed without being asked for: this confirms it, and answers a `ping`.
   * @param {string} message
   */
  send(message) {
    if (this.readyState === CONNECTING) throw new DOMException("Still in CONNECTING state", "InvalidStateError");
    const { type } = JSON.parse(message);
    const timestamp = new Date().toISOString();
    queueMicrotask(() => {
      if (type === "ping") this.#receive({ type: "pong", timestamp });
      else if (type === "subscribe")
        this.#receive({ type: "subscribed", channel_id: this.channel, timestamp, cursor: null });
      else this.#receive({ type: "error", code: "invalid", message: `${type} is not sent over this socket` });
    });
  }

  /** @override */
  failed() {
    super.failed();
    this.fire(Object.assign(new Event("close"), { code: 1006, reason: "", wasClean: false }));
  }

  /** @param {Record<string, any>} message */
  #receive(message) {
    this.fire(new MessageEvent("message", { data: JSON.stringify(message), origin: new URL(this.url).origin }));
  }
}
