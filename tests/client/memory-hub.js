/** A hub without a network, for tests of what is built on hubs. */
import { View } from "../../web/client/view.js";

export class MemoryHub {
  /** @type {Set<() => void>} */
  #subscribers = new Set();
  /** @type {Map<string, Set<(detail: any) => void>>} */
  #listeners = new Map();
  #view = new View();
  #offset = 0;
  #topics;
  #whole = false;
  state = "connecting";
  reason = null;
  failing = false;
  closed = false;

  /** @param {import("../../web/client/index.js").Options} options */
  constructor(options) {
    this.options = options;
    this.#topics = new Set(options.channels);
  }

  /**
   * Store a status, and tell of it.
   * @param {string} channel
   * @param {string} id
   * @param {string} status
   * @param {Record<string, any>} [data]
   */
  put(channel, id, status, data = {}) {
    const message = { content_id: id, channel_id: channel, status, ...data };
    const change = this.#view.apply({ id: `k-${++this.#offset}`, type: "content_status_update", data: message });
    this.#emit("status", change);
  }

  /**
   * @param {string} channel
   * @param {string} id
   */
  remove(channel, id) {
    const message = { content_id: id, channel_id: channel };
    this.#emit("removed", this.#view.apply({ id: `k-${++this.#offset}`, type: "content_removed", data: message }));
  }

  /** @param {string} state @param {boolean} [failing] */
  become(state, failing = false) {
    this.state = state;
    this.failing = failing;
    this.#emit("state", {});
  }

  /** The whole state is here. */
  complete() {
    this.#whole = true;
    this.#emit("ready", { kind: "ready" });
  }

  /** The next animation frame. */
  frame() {
    for (const subscriber of [...this.#subscribers]) subscriber();
  }

  /**
   * @param {string} event
   * @param {any} detail
   */
  #emit(event, detail) {
    for (const listener of this.#listeners.get(event) ?? []) listener(detail);
  }

  /** @param {string} id @param {string} [channel] */
  get(id, channel) {
    return this.#view.get(id, channel);
  }

  /** @param {string} [channel] */
  contents(channel) {
    return this.#view.list(channel);
  }

  channels() {
    return [...this.#topics];
  }

  /** @param {() => void} listener */
  subscribe(listener) {
    this.#subscribers.add(listener);
    return () => this.#subscribers.delete(listener);
  }

  /** @param {string} event @param {(detail: any) => void} listener */
  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  async ready() {
    if (!this.#whole) await new Promise((resolve) => this.on("ready", resolve));
  }

  /** @param {...string} channels */
  add(...channels) {
    for (const channel of channels) this.#topics.add(channel);
  }

  /** @param {...string} channels */
  drop(...channels) {
    for (const channel of channels) this.#topics.delete(channel);
  }

  close() {
    this.closed = true;
  }
}
