/**
 * All channels that the token reads, by the hub's index, with what runs and what has failed lately. The index is read
 * from time to time; a stream of what changes after it says at once what happens in between.
 */
import { contentOf } from "../client/content.js";
import { compareCursors } from "../client/cursor.js";
import { connect } from "../client/index.js";
import { routeOf } from "./address.js";
import { momentOf } from "./status.js";

/** Channels of one page of the index, the hub's maximum, and most that are read. */
const PAGE_CHANNELS = 1_000;
const CHANNELS_MAX = 5_000;

/** Least time between two readings of the index; more where it is long, since each channel counts as a read. */
const READ_MS = 2_000;
const READ_MS_PER_CHANNEL = 10;

/** Between readings while nothing happens. */
const IDLE_MS = 15_000;

/**
 * Channels of which the running and failed contents are read when the page opens, each a request; requests at a time,
 * which leaves connections of HTTP/1.1 to others; and contents of each.
 */
const CHANNELS_READ = 200;
const READS = 3;
const CONTENTS_READ = 100;

/** How long ago "lately" is. */
export const LATELY_MS = 60 * 60_000;

/** Deadline for an answer. */
const ANSWER_MS = 20_000;

/**
 * @typedef {{ channel: string, pending: number, processing: number, completed: number, failed: number, idle: number,
 *   updated_at: string, cursor: string }} Entry
 * @typedef {{ channels: Entry[], next: string | null, tag: string }} Page  of the index
 */

/**
 * @fires Directory#change  at most once a frame
 * @fires Directory#state   the connection's state has changed
 */
export class Directory extends EventTarget {
  #clock;
  #pulse;
  #ended;
  #tag = "";
  #timer = 0;
  #readAt = -Infinity;
  #reading = false;
  #closed = false;
  /** @type {import("../client/index.js").Hub | null} */
  #hub = null;

  /** @type {Map<string, Entry>} */
  channels = new Map();

  /** Running, waiting and failed contents, by id. @type {Map<string, import("./board.js").Item>} */
  contents = new Map();

  /** Whether the index has been read. */
  ready = false;

  /** Whether there are more channels than are read. */
  more = false;

  /** Why the index cannot be read. @type {{ status: number, reason: string } | null} */
  problem = null;

  /**
   * @param {import("./clock.js").HubClock} clock
   * @param {import("./pulse.js").Pulse} pulse
   * @param {(item: import("./board.js").Item) => void} ended  is told what ends
   */
  constructor(clock, pulse, ended) {
    super();
    this.#clock = clock;
    this.#pulse = pulse;
    this.#ended = ended;
    document.addEventListener("visibilitychange", this.#shown);
    this.#read();
  }

  get state() {
    if (this.problem) return this.problem.status ? "refused" : "offline";
    return this.#hub?.state ?? "connecting";
  }

  /** @returns {string | null} */
  get reason() {
    return this.problem?.reason ?? this.#hub?.reason ?? null;
  }

  /** Begins anew: another token may read other channels. */
  retry() {
    this.#hub?.close();
    this.#hub = null;
    this.#tag = "";
    this.#readAt = -Infinity;
    this.ready = false;
    this.contents.clear();
    this.#read();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#shown);
    this.#hub?.close();
  }

  #shown = () => {
    if (!document.hidden) this.#soon();
  };

  /** Reads the index when it may be read again. */
  #soon() {
    clearTimeout(this.#timer);
    const least = Math.max(READ_MS, this.channels.size * READ_MS_PER_CHANNEL);
    this.#timer = setTimeout(() => this.#read(), Math.max(this.#readAt + least - performance.now(), 0));
  }

  async #read() {
    if (this.#reading || this.#closed || (document.hidden && this.ready)) return;
    this.#reading = true;
    this.#readAt = performance.now();
    try {
      const first = await this.#page("", this.#tag);
      if (first) await this.#take(first);
      this.problem = null;
    } catch (/** @type {any} */ error) {
      this.problem = { status: error.status ?? 0, reason: error.message };
    }
    this.#reading = false;
    if (this.#closed) return;
    this.#tell("state");
    this.#tell("change");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#read(), IDLE_MS);
  }

  /** @param {Page} first */
  async #take(first) {
    const entries = [...first.channels];
    let { next } = first;
    while (next && entries.length < CHANNELS_MAX) {
      const page = await this.#page(next, "");
      entries.push(...(page?.channels ?? []));
      next = page?.next ?? null;
    }
    if (this.#closed) return;
    this.more = Boolean(next);
    // A channel whose contents were all removed is listed for a day.
    const there = entries.filter((it) => it.pending + it.processing + it.completed + it.failed + it.idle > 0);
    this.channels = new Map(there.map((entry) => [entry.channel, entry]));
    for (const [id, { channel }] of this.contents) if (!this.channels.has(channel)) this.contents.delete(id);
    if (this.ready) return;
    this.ready = true;
    this.#follow(first.tag);
    await this.#seed();
  }

  /**
   * @param {string} after
   * @param {string} tag
   * @returns {Promise<Page | null>} null where it has not changed
   */
  async #page(after, tag) {
    const address = `api/channels?limit=${PAGE_CHANNELS}${after && `&after=${encodeURIComponent(after)}`}`;
    const answer = await asked(address, tag);
    if (!answer) return null;
    if (!after) this.#tag = answer.tag;
    return { ...answer.body, tag: answer.tag };
  }

  /** What changes after the index was read. @param {string} tag */
  #follow(tag) {
    // The tag begins with the cursor of the tenant's latest event.
    const since = /^(?:W\/)?"([a-z0-9]+-\d+)/.exec(tag)?.[1];
    const hub = (this.#hub = connect({ match: "**", since }));
    let settled = true;
    hub.on("reset", () => (settled = false));
    hub.on("ready", () => {
      if (!settled) this.#renew(hub);
      settled = true;
      this.#clock.run(true);
    });
    hub.on("status", ({ content }) => this.#status(content, settled));
    hub.on("removed", ({ id }) => {
      this.contents.delete(id);
      this.#soon();
    });
    hub.on("heartbeat", ({ timestamp }) => this.#clock.told(timestamp));
    hub.on("state", () => this.#tell("state"));
    hub.subscribe(() => this.#tell("change"));
  }

  /**
   * The hub has begun anew: what has not come again is gone.
   * @param {import("../client/index.js").Hub} hub
   */
  #renew(hub) {
    for (const id of this.contents.keys()) if (!hub.get(id)) this.contents.delete(id);
    this.#soon();
  }

  /**
   * @param {import("../client/index.js").Content} content
   * @param {boolean} live  whether it happens now, rather than that the hub repeats the whole state
   */
  #status({ channel, id, phase, data, cursor }, live) {
    const now = this.#clock.now();
    if (live) this.#pulse.event(now, momentOf(data.timestamp) ?? NaN);
    const before = this.contents.get(id);
    const updated = live ? now : (momentOf(data.timestamp) ?? now);
    const item = {
      channel,
      id,
      phase,
      data,
      arrived: live ? performance.now() : null,
      updated,
      field: before?.field ?? "",
    };
    this.#keep(item);
    if (before?.phase !== phase) {
      if (live && (phase === "completed" || phase === "failed")) this.#ended(item);
      // The counts of its channel are those of the index.
      this.#soon();
    }
    const entry = this.channels.get(channel);
    if (!entry) this.#soon();
    else if (compareCursors(cursor, entry.cursor) > 0) {
      Object.assign(entry, { updated_at: new Date(updated).toISOString(), cursor });
    }
  }

  /** @param {import("./board.js").Item} item */
  #keep(item) {
    if (item.phase === "completed" || item.phase === "idle") this.contents.delete(item.id);
    else this.contents.set(item.id, item);
  }

  /** The running and failed contents that were there before; what the stream has told meanwhile is newer. */
  async #seed() {
    const now = this.#clock.now();
    const busy = [...this.channels.values()].filter(
      ({ processing, pending, failed, updated_at }) =>
        processing + pending > 0 || (failed > 0 && now - Date.parse(updated_at) < LATELY_MS),
    );
    busy.sort((one, other) => Date.parse(other.updated_at) - Date.parse(one.updated_at));
    const names = busy.slice(0, CHANNELS_READ).map(({ channel }) => channel);
    const read = async () => {
      for (let name; !this.#closed && (name = names.shift());) {
        await this.#seedChannel(name);
        this.#tell("change");
      }
    };
    await Promise.all(Array.from({ length: READS }, read));
  }

  /** @param {string} channel */
  async #seedChannel(channel) {
    try {
      const answer = await asked(`${routeOf(channel)}?limit=${CONTENTS_READ}`, "");
      for (const data of answer?.body.contents ?? []) this.#seedContent(channel, data);
    } catch {
      // What happens there from now on is shown.
    }
  }

  /** @param {string} channel @param {Record<string, any>} data */
  #seedContent(channel, data) {
    const id = data.content_id ?? data.id;
    const { phase } = contentOf("", "", data);
    if (typeof id !== "string" || this.contents.has(id) || this.#hub?.get(id)) return;
    const updated = momentOf(data.timestamp) ?? this.#clock.now();
    this.#keep({ channel, id, phase, data, arrived: null, updated, field: "" });
  }

  /** @param {string} type */
  #tell(type) {
    if (!this.#closed) this.dispatchEvent(new Event(type));
  }
}

/**
 * @param {string} address
 * @param {string} tag
 * @returns {Promise<{ body: any, tag: string } | null>} null where it has not changed
 */
async function asked(address, tag) {
  let answer;
  try {
    /** @type {Record<string, string>} */
    const headers = tag ? { "If-None-Match": tag } : {};
    answer = await fetch(address, { headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  } catch {
    throw new Error("");
  }
  if (answer.status === 304) return null;
  const body = await answer.json().catch(() => null);
  if (answer.ok && body) return { body, tag: answer.headers.get("ETag") ?? "" };
  const refused = answer.status === 401 || answer.status === 403;
  throw Object.assign(new Error(body?.error?.message ?? ""), { status: refused ? answer.status : 0 });
}
