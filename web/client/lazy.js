/**
 * A hub for components: it is connected to with the first subscriber, follows the channels that subscribers name, and
 * is closed after the last one has gone. What is read before that is empty; on a server nothing subscribes.
 */
import { contentOf } from "./content.js";
import { connect } from "./index.js";
import { origin } from "./origin.js";
import { namedBy } from "./topics.js";

/**
 * @typedef {import("./index.js").Hub} Hub
 * @typedef {import("./index.js").Content} Content
 * @typedef {import("./index.js").Options} Options
 */

/**
 * What components see of a hub: a new object whenever one of its values has changed.
 * @typedef {object} HubView
 * @property {Hub["state"]} state
 * @property {string | null} reason  in the words of the hub, or of the network
 * @property {boolean} failing       real time failed, and polls stand in
 * @property {boolean} ready         the whole state is here
 * @property {Hub | null} hub        null before there is anything to follow, and on a server
 * @property {Hub["cancel"]} cancel
 * @property {() => void} retry
 */

/**
 * The statuses of channels as the `contents` of `GET /api/contents/{channel}` has them.
 * @typedef {Record<string, readonly Record<string, any>[]>} Initial
 */

/** After the last subscriber: the components of the next page may want the same stream. */
const LINGER_MS = 1_000;

/** @type {readonly Content[]} */
const NOTHING = Object.freeze([]);

export class LazyHub {
  #options;
  #connect;
  /** Whether the hub was given, and is not to be closed here. */
  #given;
  /** @type {Hub | null} */
  #hub;
  /** @type {Map<string, readonly Content[]>} */
  #initial;
  /** @type {(channel: string) => boolean} */
  #covered;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** How many subscribers name a channel. @type {Map<string, number>} */
  #wanted = new Map();
  /** The channels that the hub follows because of that. @type {Set<string>} */
  #added = new Set();
  /** @type {LazyHub | undefined} */
  #sockets;
  #listening = false;
  #unlisten = () => {};
  #ready = false;
  #updating = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #sweeping;
  /** @type {HubView} */
  #view;

  /** The view of a server, with which a page begins, too. @type {HubView} */
  firstView;

  /**
   * @param {Options & { hub?: Hub }} [options]  those of `connect`, or a `hub`, which is not closed here
   * @param {Initial} [initial]                  is shown until the hub has sent the state
   * @param {(options: Options) => Hub} [open]
   */
  constructor({ hub, ...options } = {}, initial = {}, open = connect) {
    this.#options = options;
    this.#connect = open;
    this.#given = hub !== undefined;
    this.#hub = hub ?? null;
    this.#covered = options.match === undefined ? () => false : namedBy(options.match);
    this.#initial = new Map(Object.entries(initial).map(([channel, said]) => [channel, contentsOf(channel, said)]));
    this.#view = this.#viewed();
    this.firstView = Object.freeze({ ...this.#view, state: "connecting", reason: null, failing: false, hub: null });
  }

  get options() {
    return this.#options;
  }

  get view() {
    return this.#view;
  }

  /**
   * The address of a channel at the hub.
   * @param {string} channel
   * @param {"status" | "events" | "ws"} leaf
   */
  address(channel, leaf) {
    const hub = new URL(this.#options.url ?? origin(), globalThis.document?.baseURI);
    return new URL(`api/contents/${encodeURIComponent(channel)}/${leaf}`, hub);
  }

  /** The same hub over a WebSocket, with a connection of its own. @returns {LazyHub} */
  get sockets() {
    if (this.#given || this.#options.transport === "websocket") return this;
    this.#sockets ??= new LazyHub({ ...this.#options, channels: [], transport: "websocket" }, {}, this.#connect);
    return this.#sockets;
  }

  /**
   * @param {string} id
   * @param {string} [channel]
   * @returns {Content | undefined}
   */
  get(id, channel) {
    return this.#hub?.get(id, channel) ?? (this.#ready ? undefined : this.initial(id, channel));
  }

  /**
   * @param {string} channel
   * @returns {readonly Content[]}  the newest change first; the same array while nothing has changed
   */
  contents(channel) {
    // The state comes content by content, and must not replace a whole list by its beginning.
    if (!this.#ready && this.#initial.has(channel)) return this.initialContents(channel);
    return this.#hub?.contents(channel) ?? NOTHING;
  }

  /**
   * What a server shows, and a page until its hub has answered.
   * @param {string} id
   * @param {string} [channel]
   * @returns {Content | undefined}
   */
  initial(id, channel) {
    const lists = channel === undefined ? [...this.#initial.values()] : [this.initialContents(channel)];
    return lists.flat().find((content) => content.id === id);
  }

  /**
   * @param {string} channel
   * @returns {readonly Content[]}
   */
  initialContents(channel) {
    return this.#initial.get(channel) ?? NOTHING;
  }

  /**
   * Follows the channels, beside those of the options, and calls the listener after changes.
   * @param {readonly string[]} channels
   * @param {() => void} listener
   * @returns {() => void}  ends it
   */
  follow(channels, listener) {
    const subscriber = () => listener();
    this.#listeners.add(subscriber);
    for (const channel of channels) this.#wanted.set(channel, (this.#wanted.get(channel) ?? 0) + 1);
    this.#updateSoon();
    return () => {
      if (!this.#listeners.delete(subscriber)) return;
      for (const channel of channels) this.#wanted.set(channel, (this.#wanted.get(channel) ?? 1) - 1);
      clearTimeout(this.#sweeping);
      this.#sweeping = setTimeout(() => this.#sweep(), LINGER_MS);
    };
  }

  /** Once for all components of a page, which subscribe one after the other. */
  #updateSoon() {
    if (this.#updating) return;
    this.#updating = true;
    queueMicrotask(() => {
      this.#updating = false;
      if (this.#listeners.size) this.#update();
    });
  }

  #update() {
    const own = new Set(this.#hub ? this.#hub.channels() : this.#options.channels);
    const followed = (/** @type {string} */ name) => own.has(name) || this.#added.has(name) || this.#covered(name);
    const missing = [...this.#wanted].filter(([name, count]) => count > 0 && !followed(name)).map(([name]) => name);
    if (!this.#hub) {
      const channels = [...own, ...missing];
      if (!channels.length && this.#options.match === undefined) return;
      this.#hub = this.#connect({ ...this.#options, channels });
    } else if (missing.length) {
      this.#hub.add(...missing);
    }
    for (const name of missing) this.#added.add(name);
    if (!this.#listening) this.#listen(this.#hub);
  }

  /** @param {Hub} hub */
  #listen(hub) {
    this.#listening = true;
    const ends = [hub.subscribe(() => this.#changed()), hub.on("ready", () => this.#awaitReady(hub))];
    this.#unlisten = () => ends.forEach((end) => end());
    this.#awaitReady(hub);
    this.#changed();
  }

  /** @param {Hub} hub */
  async #awaitReady(hub) {
    if (this.#ready) return;
    try {
      await hub.ready();
    } catch {
      return; // It is closed, or refuses: it says when it is ready after all.
    }
    if (this.#hub !== hub || this.#ready) return;
    this.#ready = true;
    this.#changed();
  }

  /** Lets go of what has had no subscriber for a while. */
  #sweep() {
    if (!this.#listeners.size) return this.#close();
    const idle = [...this.#added].filter((name) => !this.#wanted.get(name));
    for (const name of idle) {
      this.#added.delete(name);
      this.#wanted.delete(name);
    }
    if (idle.length) this.#hub?.drop(...idle);
  }

  #close() {
    this.#unlisten();
    this.#listening = this.#ready = false;
    if (this.#given) this.#hub?.drop(...this.#added);
    else {
      this.#hub?.close();
      this.#hub = null;
    }
    this.#added.clear();
    this.#wanted.clear();
    this.#view = this.#viewed();
  }

  #changed() {
    const view = this.#viewed();
    const names = /** @type {(keyof HubView)[]} */ (Object.keys(view));
    if (names.some((name) => view[name] !== this.#view[name])) this.#view = view;
    for (const listener of [...this.#listeners]) listener();
  }

  /** @returns {HubView} */
  #viewed() {
    const hub = this.#hub;
    return Object.freeze({
      state: hub?.state ?? "connecting",
      reason: hub?.reason ?? null,
      failing: hub?.failing ?? false,
      ready: this.#ready,
      hub,
      cancel: this.#cancel,
      retry: this.#retry,
    });
  }

  /** @type {Hub["cancel"]} */
  #cancel = async (id, options) => {
    if (!this.#hub) throw new Error("nothing is followed yet: use the hook of a channel, or name channels");
    await this.#hub.cancel(id, options);
  };

  #retry = () => this.#hub?.retry();
}

/**
 * @param {string} channel
 * @param {readonly Record<string, any>[]} said
 */
function contentsOf(channel, said) {
  const contents = said.map((data) => contentOf("", "content_status_update", { ...data, channel_id: channel }));
  return Object.freeze(contents);
}
