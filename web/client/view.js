/** What is known of contents: the newest state of each, whatever the order in which states come. */
import { DELTA, REMOVED, contentOf } from "./content.js";
import { compareEpochs, epochOf, offsetOf } from "./cursor.js";
import { grown } from "./growth.js";

/** @typedef {import("./content.js").Content} Content */

/**
 * @typedef {object} Message  an event of the hub
 * @property {string} id      its cursor
 * @property {string} type
 * @property {Record<string, any>} data
 *
 * @typedef {object} Change
 * @property {"status" | "removed" | "reset" | "ready"} kind
 * @property {Content} [content]
 * @property {string} [channel]
 * @property {string} [id]     the content's
 * @property {import("./growth.js").Delta} [delta]  what has changed, where the content grew
 *
 * @typedef {object} Entry
 * @property {Content} content
 * @property {number} offset
 * @property {boolean} void    the hub has said that all states are void: it is shown until the whole state is there
 */

/** Removals that are remembered, lest an answer from before brings the content back. */
const REMOVALS_MAX = 1_000;

export class View {
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  /** By channel, the newest state last. @type {Map<string, Map<string, Entry>>} */
  #channels = new Map();
  /** The offset of each content's removal. @type {Map<string, number>} */
  #removals = new Map();
  /** @type {Map<string | undefined, readonly Content[]>} */
  #lists = new Map();
  #epoch = "";

  /**
   * @param {string} id
   * @param {string} [channel]
   */
  get(id, channel) {
    const content = this.#entries.get(id)?.content;
    return channel === undefined || content?.channel === channel ? content : undefined;
  }

  /**
   * The newest change first; the same array while nothing changes.
   * @param {string} [channel]
   * @returns {readonly Content[]}
   */
  list(channel) {
    let list = this.#lists.get(channel);
    if (!list) {
      const entries = channel === undefined ? this.#entries : this.#channels.get(channel);
      // Mostly in order already, which makes it linear.
      const newest = [...(entries?.values() ?? [])].reverse().sort((one, other) => other.offset - one.offset);
      list = Object.freeze(newest.map((entry) => entry.content));
      this.#lists.set(channel, list);
    }
    return list;
  }

  /** @returns {string[]} of the channels that have contents */
  channels() {
    return [...this.#channels.keys()];
  }

  /**
   * @param {Message} message
   * @returns {Change | "misfit" | undefined}  nothing where as new a state is here
   */
  apply({ id, type, data }) {
    const content_id = data?.content_id;
    if (!id || typeof content_id !== "string") return;
    const epoch = epochOf(id);
    if (this.#epoch) {
      const order = compareEpochs(epoch, this.#epoch);
      if (order < 0) return;
      if (order > 0) this.void(() => true, true);
    }
    this.#epoch = epoch;
    const offset = offsetOf(id);
    const entry = this.#entries.get(content_id);
    const current = entry?.void ? undefined : entry;
    if (offset <= (current?.offset ?? this.#removals.get(content_id) ?? -1)) return;
    if (type === DELTA) return current ? this.#grow(current, id, offset, data) : "misfit";
    if (type === REMOVED) return this.#remove(content_id, offset, data.channel_id);
    return this.#set(contentOf(id, type, data), offset);
  }

  /**
   * The states of these channels are void. They are shown until `settle`, when the new ones are here.
   * @param {(channel: string) => boolean} named
   * @param {boolean} all  whether that is all of them
   */
  void(named, all) {
    for (const entry of this.#entries.values()) entry.void ||= named(entry.content.channel);
    if (!all) return;
    this.#removals.clear();
    this.#epoch = "";
  }

  /**
   * The whole state of these channels is here.
   * @param {(channel: string) => boolean} named
   * @returns {boolean} whether anything goes
   */
  settle(named) {
    return this.#discard((entry) => entry.void && named(entry.content.channel));
  }

  /**
   * Forget channels that are followed no longer.
   * @param {(channel: string) => boolean} named
   * @returns {boolean} whether anything goes
   */
  forget(named) {
    return this.#discard((entry) => named(entry.content.channel));
  }

  /** @param {(entry: Entry) => boolean} wanted */
  #discard(wanted) {
    const before = this.#entries.size;
    for (const [id, entry] of this.#entries) if (wanted(entry)) this.#delete(id);
    return this.#entries.size < before;
  }

  /**
   * @param {Entry} entry
   * @param {string} cursor
   * @param {number} offset
   * @param {Record<string, any>} said
   * @returns {Change | "misfit"}
   */
  #grow({ content, offset: before }, cursor, offset, said) {
    if (offset - said.back !== before) return "misfit";
    const { set = {}, append = {} } = said;
    const change = this.#set(contentOf(cursor, content.type, grown(content.data, said)), offset);
    return { ...change, delta: { set, append } };
  }

  /**
   * @param {Content} content
   * @param {number} offset
   * @returns {Change}
   */
  #set(content, offset) {
    const { id, channel } = content;
    this.#delete(id);
    const entry = { content, offset, void: false };
    this.#entries.set(id, entry);
    let entries = this.#channels.get(channel);
    if (!entries) this.#channels.set(channel, (entries = new Map()));
    entries.set(id, entry);
    this.#removals.delete(id);
    this.#outdate(channel);
    return { kind: "status", id, channel, content };
  }

  /**
   * @param {string} id
   * @param {number} offset
   * @param {string} channel
   * @returns {Change}
   */
  #remove(id, offset, channel) {
    this.#delete(id);
    this.#removals.delete(id);
    this.#removals.set(id, offset);
    if (this.#removals.size > REMOVALS_MAX) {
      const [oldest] = this.#removals.keys();
      this.#removals.delete(oldest);
    }
    return { kind: "removed", id, channel };
  }

  /** @param {string} id */
  #delete(id) {
    const content = this.get(id);
    if (!content) return;
    const { channel } = content;
    this.#entries.delete(id);
    const entries = this.#channels.get(channel);
    entries?.delete(id);
    if (!entries?.size) this.#channels.delete(channel);
    this.#outdate(channel);
  }

  /** The lists with its contents. @param {string} channel */
  #outdate(channel) {
    this.#lists.delete(channel);
    this.#lists.delete(undefined);
  }
}
