/** Runs the machine: opens its streams, asks its polls, keeps its time, and passes on what comes. */
import { steadyClock } from "./clock.js";
import { DELTA } from "./content.js";
import { Followed } from "./followed.js";
import { created, dueAt, stateOf } from "./machine-state.js";
import { step } from "./machine.js";
import { openEventSource } from "./sse.js";
import { isHidden, isOnline, watch } from "./surroundings.js";
import { failureOf } from "./transport.js";

/**
 * @typedef {object} Receiver  of what a connection hears
 * @property {(message: import("./view.js").Message, topics: string[]) => boolean} message  false where a delta does not
 *   fit; its cursor holds for the topics
 * @property {(topics: string[]) => void} reset  the states of these topics are void; the whole ones follow
 * @property {(topics: string[]) => void} whole  the whole state of these topics is here
 * @property {(time: string) => void} beat  the hub's time
 * @property {() => void} changed  the state, or its reason
 * @property {() => boolean} busy  whether a content is in progress
 * @property {(topic: string, error: HubError | null) => void} [refused]  of one topic, instead of the state; null: no
 *   longer
 *
 * @typedef {Pick<import("./credentials.js").Credentials, "header" | "next" | "taken" | "lost" | "refused">} Proof
 *
 * @typedef {object} Options
 * @property {URL} hub
 * @property {() => Promise<Proof | undefined>} credentials  none where there is a cookie, or nothing to prove
 * @property {boolean} cookies  to another origin
 * @property {Set<string>} types
 * @property {string[]} contentIds
 * @property {"auto" | "sse" | "websocket" | "polling"} transport
 * @property {Receiver} receiver
 *
 * @typedef {import("./followed.js").Topic & { name: string, joined: boolean }} Topic
 *   joined: whether streams and polls of all topics have it
 */

/** @typedef {import("./error.js").HubError} HubError */

/** Topics that come and go in one go, as parts of a page are mounted, make one new stream. */
const SETTLE_MS = 20;

export class Connection {
  #options;
  #machine;
  #clock = steadyClock();
  /** @type {Followed<Topic>} */
  topics = new Followed();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #settling;
  /** Ends the stream that is open or being opened. @type {AbortController | undefined} */
  #opening;
  /** Ends the poll that runs. @type {AbortController | undefined} */
  #request;
  /** Once they are loaded. @type {import("./poll.js").Polls | undefined} */
  #polls;
  /** The topics that the machine was last told of. @type {Topic[]} */
  #followed = [];
  #told = "";
  #unwatch;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#machine = created({
      streams: options.transport !== "polling",
      online: isOnline(),
      attentive: !isHidden(),
    });
    this.#unwatch = watch({
      network: (online) => this.#step({ type: "network", online }),
      asleep: (asleep) => this.#step({ type: asleep ? "sleep" : "wake" }),
    });
  }

  get state() {
    const state = stateOf(this.#machine);
    return state !== "closed" && this.topics.refusal ? "refused" : state;
  }

  get reason() {
    return this.#machine.failure.reason || this.topics.refusal?.message;
  }

  /** What the hub refuses with. */
  get error() {
    const { error, refused } = this.#machine.failure;
    return refused ? error : this.topics.refusal;
  }

  /** Whether polls stand in for a stream that failed. */
  get failing() {
    return this.#machine.streams && this.#machine.polls !== "off";
  }

  /**
   * Follow a topic, after a cursor or from its whole state on.
   * @param {string} name
   * @param {string | null} [cursor]
   */
  follow(name, cursor = null) {
    if (this.topics.has(name)) return;
    this.topics.set(name, { name, cursor, joined: true });
    this.#changed();
  }

  /** @param {string} name */
  unfollow(name) {
    if (!this.topics.delete(name)) return;
    this.#polls?.stop([name]);
    this.#changed();
  }

  /** @param {boolean} attentive  whether the page is visible, or waits for something */
  attend(attentive) {
    if (attentive) this.#readRest();
    this.#step({ type: "attention", attentive });
  }

  retry() {
    this.#polls?.stop();
    this.#readRest();
    this.#step({ type: "retry" });
  }

  close() {
    this.#step({ type: "close" });
    this.#unwatch();
    this.#polls?.stop();
    clearTimeout(this.#settling);
  }

  #changed() {
    clearTimeout(this.#settling);
    const settle = () => {
      const before = this.#followed;
      const topics = this.#even();
      if (topics.length !== before.length || topics.some((topic, at) => topic !== before[at])) this.#restart();
    };
    if (this.#machine.mode === "idle") queueMicrotask(settle);
    else this.#settling = setTimeout(settle, SETTLE_MS);
  }

  /** Reads the topics that have not joined, and are not being read. */
  #readRest() {
    if (this.#joined().length === this.topics.size || this.#machine.mode === "closed") return;
    if (this.#polls) this.#polls.readRest();
    else this.#load();
  }

  /** Loads what only those need whose stream has failed, or who add topics. */
  async #load() {
    const loaded = await import("./poll.js").catch(failureOf);
    if ("reason" in loaded) return this.#step({ type: "loaded", failure: loaded });
    this.#polls ??= new loaded.Polls(this.#options, this.topics, {
      step: (event) => this.#step(event),
      restart: () => this.#restart(),
      wanted: () => this.#machine.attentive,
    });
    this.#step({ type: "loaded", region: loaded });
    this.#readRest();
  }

  #restart() {
    this.#followed = this.#joined();
    this.#step({ type: "topics", empty: !this.#followed.length });
  }

  #joined() {
    return [...this.topics.values()].filter(({ joined }) => joined);
  }

  /**
   * The topics of one cursor. Without one, the whole state would come of all, and no removal: those that have none while
   * others do are read first, to where the others are.
   */
  #even() {
    const joined = this.#joined();
    if (joined.some(({ cursor }) => cursor)) for (const topic of joined) topic.joined = Boolean(topic.cursor);
    this.#readRest();
    return this.#joined();
  }

  /**
   * What is asked for of some topics; `same` chooses from their names those that are still followed as they are now, since
   * one that was dropped and added begins anew. Nothing where all were dropped a moment ago, of which the machine has not
   * been told.
   * @param {Topic[]} topics
   */
  #asked(topics) {
    if (!topics.length) return void queueMicrotask(() => this.#restart());
    const before = new Set(topics);
    return {
      topics: topics.map(({ name }) => name),
      since: this.topics.since,
      same: (/** @type {string[]} */ names) =>
        names.filter((name) => before.has(/** @type {Topic} */ (this.topics.get(name)))),
    };
  }

  /** @param {import("./machine.js").Event} event */
  #step(event) {
    this.#machine = step(this.#machine, event, this.#clock(), Math.random());
    for (const effect of this.#machine.effects) {
      if (effect.do === "open") this.#open(effect.deltas);
      else if (effect.do === "drop") this.#opening?.abort();
      else if (effect.do === "ask") this.#ask(effect);
      else if (effect.do === "stop") this.#request?.abort();
      else this.#load();
    }
    clearTimeout(this.#timer);
    const due = dueAt(this.#machine);
    // Rounded up: timers cut fractions off, and would fire before it is due.
    const delay = Math.max(Math.ceil(due - this.#clock()), 0);
    if (delay < Infinity) this.#timer = setTimeout(() => this.#step({ type: "tick" }), delay);
    const told = String([this.state, this.failing, this.reason]);
    if (told === this.#told) return;
    this.#told = told;
    this.#options.receiver.changed();
  }

  /** @param {boolean} deltas */
  async #open(deltas) {
    this.#opening?.abort();
    const { signal } = (this.#opening = new AbortController());
    const sockets = this.#options.transport === "websocket";
    const asked = this.#asked(sockets ? this.#joined() : this.#even());
    if (!asked) return;
    try {
      const credentials = await this.#options.credentials();
      const fetched = credentials?.header || !globalThis.EventSource;
      const [{ open }, grant = {}] = await Promise.all([
        sockets ? import("./socket.js") : fetched ? import("./stream.js") : { open: openEventSource },
        credentials?.next({ fresh: true }),
      ]);
      if (signal.aborted) return;
      this.#step({ type: "opened" });
      open({
        ...this.#options,
        ...asked,
        ...{ deltas, grant, signal },
        hear: (heard) => {
          if (signal.aborted) return;
          if (heard.type !== "drain") credentials?.taken();
          this.#hear(heard, asked.same(heard.topics ?? asked.topics));
        },
        lost: (loss) => {
          if (!signal.aborted) this.#step({ type: "lost", ...loss, again: credentials?.lost(grant, loss) });
        },
      });
    } catch (error) {
      if (signal.aborted) return;
      this.#step({ type: "lost", final: true, failure: failureOf(error) });
    }
  }

  /**
   * @param {import("./transport.js").Heard} heard
   * @param {string[]} topics
   */
  #hear({ type, id, data }, topics) {
    if (type === "drain") return this.#step({ type: "drained", retry: data?.retry_ms });
    const { receiver, types } = this.#options;
    // The stream of one channel does not say which.
    if (type === DELTA && data) data.channel_id ??= topics[0];
    const ready = type === "ready";
    if (ready) {
      this.topics.settle(topics, receiver, data?.cursor);
      // Polls have to be here before the hub cannot be reached.
      this.#load();
    } else if (type === "heartbeat") {
      receiver.beat(data?.timestamp);
      // Where that could not be loaded.
      if (!this.#polls) this.#readRest();
    } else if (type === "reset") this.topics.reset(topics, receiver);
    else if (id) {
      // Every transport shows the same: an `EventSource` is not given other types. The cursor stands before a delta that
      // does not fit, so that the next stream begins with the whole state.
      if (types.has(type) && !receiver.message({ id, type, data }, topics)) return this.#step({ type: "misfit" });
      this.topics.edit(topics, { cursor: id });
    }
    this.#step({ type: "heard", ready, heartbeat: data?.heartbeat_ms });
  }

  /** @param {{ wait: number, interval: number, failed: number }} how */
  #ask(how) {
    const { signal } = (this.#request = new AbortController());
    const asked = this.#asked(this.#even());
    if (asked) this.#polls?.ask({ ...how, ...asked, signal });
  }
}
