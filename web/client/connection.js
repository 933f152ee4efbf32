/** Runs the machine: opens its streams, asks its polls, keeps its time, and passes on what comes. */
import { steadyClock } from "./clock.js";
import { DELTA } from "./content.js";
import { Followed } from "./followed.js";
import { created, dueAt, stateOf } from "./machine-state.js";
import { step } from "./machine.js";
import { openEventSource } from "./sse.js";
import { isHidden, isOnline, watch } from "./surroundings.js";

/**
 * @typedef {object} Receiver  of what a connection hears
 * @property {(message: import("./view.js").Message, topics: string[]) => boolean} message  false where a delta does not
 *   fit; its cursor holds for the topics
 * @property {(topics: string[]) => void} reset  the states of these topics are void; the whole ones follow
 * @property {(topics: string[]) => void} whole  the whole state of these topics is here
 * @property {(time: string) => void} beat  the hub's time
 * @property {() => void} changed  the state, or its reason
 * @property {() => boolean} busy  whether a content is in progress
 * @property {(topic: string, error: HubError | null) => void} [refused]  of one topic, beside the state; null: no longer
 *
 * @typedef {Pick<import("./credentials.js").Credentials, "header" | "next" | "taken" | "outdated" | "refused">} Proof
 *
 * @typedef {object} Options
 * @property {URL} hub
 * @property {Proof | Promise<Proof>} credentials
 * @property {boolean} cookies  to another origin
 * @property {Set<string>} types
 * @property {string[]} contentIds
 * @property {"auto" | "sse" | "websocket" | "polling"} transport
 * @property {Receiver} receiver
 *
 * @typedef {import("./followed.js").Topic & { joined: boolean }} Topic
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
  /** Ends the stream that is open or being opened. */
  #opening = new AbortController();
  /** Ends the poll that runs. */
  #request = new AbortController();
  /** @type {import("./poll.js").Reader | undefined} */
  #reader;
  /** The topics that the machine was last told of. @type {(Topic | undefined)[]} */
  #followed = [];
  #told = "";
  #unwatch;

  /** What the hub refuses everything with. @type {HubError | null} */
  #error = null;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#machine = created({
      streams: options.transport !== "polling",
      online: isOnline(),
      attentive: !isHidden(),
    });
    this.#unwatch = watch({
      hidden: () => this.#step({ type: "tick" }),
      network: (online) => this.#step({ type: "network", online }),
      asleep: (asleep) => this.#step({ type: asleep ? "sleep" : "wake" }),
    });
  }

  get state() {
    const state = stateOf(this.#machine);
    return state !== "closed" && this.topics.refusal ? "refused" : state;
  }

  get reason() {
    return this.#machine.reason || this.topics.refusal?.message || null;
  }

  /** What the hub refuses with. */
  get error() {
    return this.#machine.refused ? this.#error : this.topics.refusal;
  }

  /** Whether polls stand in for a stream that failed. */
  get failing() {
    return this.#machine.streams && this.#machine.polls !== "off";
  }

  /** How it stands with the hub, whatever single topics are refused. */
  get standing() {
    return stateOf(this.#machine);
  }

  /**
   * Follow a topic, after a cursor or from its whole state on.
   * @param {string} name
   * @param {string | null} [cursor]
   * @param {boolean} [now]  rather from where the others are: its state is not needed
   */
  follow(name, cursor = null, now = false) {
    if (this.topics.has(name)) return;
    const [other] = now ? this.#joined() : [];
    if (other) cursor = this.topics.since(other);
    this.topics.set(name, { cursor, joined: true, whole: false, refusal: null });
    this.#changed();
  }

  /** @param {string} name */
  unfollow(name) {
    if (!this.topics.delete(name)) return;
    this.#reader?.stop([name]);
    this.#changed();
  }

  /** @param {boolean} attentive  whether the page is visible, or waits for something */
  attend(attentive) {
    if (attentive && !this.#machine.attentive) this.#readRest();
    this.#step({ type: "attention", attentive });
  }

  retry() {
    this.#reader?.stop();
    this.#readRest();
    this.#step({ type: "retry" });
  }

  close() {
    this.#step({ type: "close" });
    this.#unwatch();
    this.#reader?.stop();
    clearTimeout(this.#settling);
  }

  #changed() {
    clearTimeout(this.#settling);
    const settle = () => {
      const before = this.#followed;
      const topics = this.#even().map((name) => this.topics.get(name));
      if (topics.length !== before.length || topics.some((topic, at) => topic !== before[at])) this.#restart();
    };
    if (this.#machine.mode === "idle") queueMicrotask(settle);
    else this.#settling = setTimeout(settle, SETTLE_MS);
  }

  /** Reads the topics that have not joined, and are not being read. */
  async #readRest() {
    if ([...this.topics.values()].every((topic) => topic.joined)) return;
    const { Reader } = await import("./poll.js");
    this.#reader ??= new Reader(this.#options, {
      since: this.topics.since,
      take: (names, answer) => {
        this.topics.edit(names, { joined: true });
        this.#take(answer, names);
        this.#restart();
      },
      refuse: (name, refusal) => {
        this.topics.edit([name], { refusal });
        this.#options.receiver.refused?.(name, refusal);
        this.#tell();
      },
      wanted: () => this.#machine.attentive,
    });
    if (this.#machine.mode === "closed") return;
    const rest = [...this.topics].filter(([name, { joined }]) => !joined && !this.#reader?.has(name));
    this.#reader.read(rest.map(([name]) => name));
  }

  #restart() {
    this.#followed = this.#joined().map((name) => this.topics.get(name));
    this.#step({ type: "topics", empty: !this.#followed.length });
  }

  #joined() {
    return [...this.topics].flatMap(([name, { joined }]) => (joined ? [name] : []));
  }

  /**
   * The topics of one cursor. Without one, the whole state would come of all, and no removal: those that have none while
   * others do are read first, to where the others are.
   */
  #even() {
    const joined = this.#joined();
    const behind = joined.filter((name) => !this.topics.since(name));
    if (behind.length < joined.length) this.topics.edit(behind, { joined: false });
    this.#readRest();
    return this.#joined();
  }

  /**
   * What chooses, of names, those that are followed as they were: one that was dropped and added begins anew.
   * @param {string[]} names
   */
  #same(names) {
    const before = new Map(names.map((name) => [name, this.topics.get(name)]));
    return (/** @type {string[]} */ some) => some.filter((name) => before.get(name) === this.topics.get(name));
  }

  /** @param {import("./machine.js").Event} event */
  #step(event) {
    this.#machine = step(this.#machine, event, this.#clock(), Math.random());
    for (const effect of this.#machine.effects) {
      if (effect.do === "open") this.#open(effect.deltas);
      else if (effect.do === "drop") this.#opening.abort();
      else if (effect.do === "ask") this.#ask(effect);
      else this.#request.abort();
    }
    clearTimeout(this.#timer);
    const due = dueAt(this.#machine);
    if (due < Infinity) this.#timer = setTimeout(() => this.#step({ type: "tick" }), Math.max(due - this.#clock(), 0));
    this.#tell();
  }

  #tell() {
    const told = `${this.state} ${this.failing} ${this.reason}`;
    if (told === this.#told) return;
    this.#told = told;
    this.#options.receiver.changed();
  }

  /** All topics were dropped a moment ago, of which the machine has not been told: nothing is asked for. */
  #idle() {
    queueMicrotask(() => this.#restart());
  }

  /** @param {boolean} deltas */
  async #open(deltas) {
    this.#opening.abort();
    const { signal } = (this.#opening = new AbortController());
    const topics = this.#options.transport === "websocket" ? this.#joined() : this.#even();
    if (!topics.length) return this.#idle();
    const same = this.#same(topics);
    try {
      const credentials = await this.#options.credentials;
      const [transport, grant] = await Promise.all([
        this.#transport(credentials.header),
        credentials.next({ fresh: true }),
      ]);
      if (signal.aborted) return;
      this.#step({ type: "opened" });
      transport({
        ...this.#options,
        ...{ topics, since: this.topics.since, deltas, grant, signal },
        hear: (heard) => {
          if (signal.aborted) return;
          if (heard.type !== "drain") credentials.taken();
          this.#hear(heard, same(heard.topics ?? topics));
        },
        lost: ({ final, denied, failure, error }) => {
          if (signal.aborted) return;
          // A new token is tried where the hub says that this one is refused, a new ticket where it may have.
          const again = denied ? credentials.refused(grant) : final && !!grant.ticket && credentials.outdated(grant);
          this.#error = error ?? null;
          this.#step({ type: "lost", final, again, failure });
        },
      });
    } catch (error) {
      if (signal.aborted) return;
      const { message = String(error) } = /** @type {Partial<Error>} */ (error);
      this.#step({ type: "lost", final: true, failure: { reason: message } });
    }
  }

  /**
   * @param {boolean} header  whether requests have to have one
   * @returns {Promise<import("./transport.js").Transport>}
   */
  async #transport(header) {
    if (this.#options.transport === "websocket") return (await import("./socket.js")).openSocket;
    if (header || !globalThis.EventSource) return (await import("./stream.js")).openFetchStream;
    return openEventSource;
  }

  /**
   * @param {import("./transport.js").Heard} heard
   * @param {string[]} topics
   */
  #hear({ type, id, data }, topics) {
    if (type === "drain") return this.#step({ type: "drained", retry: data?.retry_ms ?? 0 });
    const { receiver, types } = this.#options;
    // The stream of one channel does not say which.
    if (type === DELTA && data) data.channel_id ??= topics[0];
    const ready = type === "ready";
    if (ready) {
      this.#whole(topics, data?.cursor);
      // Polls have to be here before the hub cannot be reached.
      import("./poll.js").catch(() => {});
    } else if (type === "heartbeat") receiver.beat(data?.timestamp);
    else if (type === "reset") this.#reset(topics);
    else if (id) {
      // Every transport shows the same: an `EventSource` is not given other types. The cursor stands before a delta that
      // does not fit, so that the next stream begins with the whole state.
      if (types.has(type) && !receiver.message({ id, type, data }, topics)) return this.#step({ type: "misfit" });
      this.topics.edit(topics, { cursor: id });
    }
    this.#step({ type: "heard", ready, heartbeat: data?.heartbeat_ms });
  }

  /** @param {string[]} topics */
  #reset(topics) {
    this.topics.edit(topics, { cursor: null, whole: false });
    this.#options.receiver.reset(topics);
  }

  /**
   * @param {string[]} topics
   * @param {string | null} [cursor]
   */
  #whole(topics, cursor) {
    this.topics.edit(topics, cursor === undefined ? { whole: true } : { whole: true, cursor });
    this.#options.receiver.whole(topics);
  }

  /** @param {{ wait: number, interval: number, failed: number }} how */
  async #ask(how) {
    const { signal } = (this.#request = new AbortController());
    const topics = this.#even();
    if (!topics.length) return this.#idle();
    const same = this.#same(topics);
    const { poll } = await import("./poll.js");
    const outcome = await poll(this.#options, { ...how, topics, since: this.topics.since, signal });
    if (signal.aborted) return;
    const { receiver } = this.#options;
    const { answer, failure, wait, error = null } = outcome;
    if (answer) {
      this.#take(answer, same(topics));
      return this.#step({ type: "answered", events: answer.events.length, busy: receiver.busy(), wait });
    }
    this.#error = error;
    if (failure?.refused && (topics.length > 1 || receiver.refused)) this.#part(topics);
    else this.#step({ type: "failed", failure });
  }

  /**
   * One of the topics may be what is refused: each is read by itself.
   * @param {string[]} topics
   */
  #part(topics) {
    this.topics.edit(topics, { joined: false });
    this.#changed();
  }

  /**
   * @param {import("./poll.js").Answer} answer
   * @param {string[]} topics
   */
  #take({ cursor, reset, events }, topics) {
    const { receiver, types } = this.#options;
    if (reset) this.#reset(topics);
    for (const message of events) if (types.has(message.type)) receiver.message(message, topics);
    this.#whole(topics, cursor);
  }
}
