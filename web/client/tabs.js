/**
 * One stream for all tabs of an origin. Web Locks elect a leader, whose connection follows the topics of all tabs, and
 * which passes on what it hears by a `BroadcastChannel`. Each tab reads the state of its own topics by itself, with its
 * own rights, once the leader follows them; so nothing lies between the state and what follows. Where the leader goes,
 * the lock goes to the next tab, which begins where each topic was.
 *
 * A tab holds a lock of its own, too, by which the leader learns that it is gone, whatever has ended it.
 */
import { Connection } from "./connection.js";
import { HubError } from "./error.js";
import { Reader } from "./poll.js";
import { isHidden, watch } from "./surroundings.js";
import { namedBy, TOPICS_MAX } from "./topics.js";

/**
 * @typedef {import("./view.js").Message} Message
 *
 * @typedef {["message", Message, string[]] | ["reset" | "whole", string[]] | ["beat", string]
 *   | ["refused", string, Refusal | null]} Item  what is passed on
 *
 * @typedef {{ message: string, status: number, code?: string }} Refusal  an error that can be passed on
 *
 * @typedef {object} Standing  of the leader's connection
 * @property {import("./machine-state.js").State} state
 * @property {string | null} reason
 * @property {boolean} failing
 * @property {boolean} hidden   whether the leader is a hidden page, whose timers are late
 *
 * @typedef {{ say: "lead", from: string }
 *   | { say: "item", to?: string, item: Item }
 *   | { say: "standing", standing: Standing }
 *   | { say: "full", to: string }
 *   | { say: "tab", from: string, topics: [string, string | null][], attentive: boolean }
 *   | { say: "bye", from: string }
 *   | { say: "retry" }} Note
 *
 * @typedef {object} Topic
 * @property {string | null} cursor
 * @property {boolean} current   whether its state was read since the leader follows it, so that nothing is missing
 * @property {boolean} whole     whether its whole state is here
 * @property {HubError | null} refusal
 * @property {Message[]} waiting  what came while the state is being read
 */

/** Silence of a leader after which a tab that is looked at takes over. */
const SILENT_MS = 45_000;

/** Between the leader's signs of life, which are late where it is a hidden page. */
const PULSE_MS = 10_000;

/** Between looks at whether the leader is silent. */
const LOOK_MS = 5_000;

/** Longest list of topics of one stream, in characters of its query, which the hub limits to 4 KiB. */
const QUERY_MAX = 3_000;

/** The same interface as `Connection`. */
export class Tabs {
  #options;
  #id = crypto.randomUUID();
  #name;
  /** @type {BroadcastChannel} */
  #channel;
  /** @type {Map<string, Topic>} */
  #topics = new Map();
  #attentive = !isHidden();
  /** @type {Standing} */
  #standing = { state: "connecting", reason: null, failing: false, hidden: false };
  /** @type {Leader | null} */
  #leader = null;
  /** Where there is no room in the leader's stream. @type {Connection | null} */
  #alone = null;
  #heard = Date.now();
  #reader;
  /** Ends the wait for the lock. */
  #waiting = new AbortController();
  #unwatch;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #looking;
  #told = "";
  #closed = false;
  #announcing = false;
  #present = false;

  misfits = 0;

  /** @param {import("./connection.js").Options} options */
  constructor(options) {
    this.#options = options;
    const { hub, cookies, transport, types } = options;
    // Only what makes the same stream is shared. Two versions of this module do not talk to each other.
    this.#name = `statushub 1 ${hub.href} ${cookies} ${transport} ${[...types].sort().join()}`;
    this.#reader = new Reader(options, {
      since: (name) => this.#topics.get(name)?.cursor ?? null,
      take: (names, answer) => this.#take(names, answer),
      refuse: (name, refusal) => this.#refuse(name, refusal),
      // It goes on in a hidden page, since the leader says only once that a topic can be read.
      wanted: () => true,
    });
    this.#unwatch = watch({
      hidden: () => this.#shown(),
      network: () => {},
      asleep: (asleep) => (asleep ? this.#leave() : this.#enter()),
    });
    this.#channel = this.#enter();
  }

  get state() {
    if (this.#closed) return "closed";
    if (this.#alone) return this.#alone.state;
    return this.#refusal() ? "refused" : this.#standing.state;
  }

  get reason() {
    if (this.#alone) return this.#alone.reason;
    return this.#refusal()?.message ?? this.#standing.reason;
  }

  get error() {
    if (this.#alone) return this.#alone.error;
    return this.#refusal();
  }

  get failing() {
    return (this.#alone ?? this.#standing).failing;
  }

  get complete() {
    return this.#alone ? this.#alone.complete : [...this.#topics.values()].every(({ whole }) => whole);
  }

  /**
   * @param {string} name
   * @param {string | null} [cursor]
   */
  follow(name, cursor = null) {
    if (this.#alone) this.#alone.follow(name, cursor);
    if (this.#topics.has(name)) return;
    this.#topics.set(name, { cursor, current: false, whole: false, refusal: null, waiting: [] });
    this.#announce();
  }

  /** @param {string} name */
  unfollow(name) {
    this.#alone?.unfollow(name);
    if (!this.#topics.delete(name)) return;
    this.#reader.stop([name]);
    this.#announce();
  }

  /** @param {boolean} attentive */
  attend(attentive) {
    this.#alone?.attend(attentive);
    if (attentive === this.#attentive) return;
    this.#attentive = attentive;
    this.#announce();
  }

  retry() {
    if (this.#alone) return this.#alone.retry();
    if (this.#leader) this.#leader.connection.retry();
    else this.#send({ say: "retry" });
  }

  close() {
    this.#closed = true;
    this.#unwatch();
    this.#alone?.close();
    this.#leave();
  }

  /** @returns {HubError | null} */
  #refusal() {
    for (const { refusal } of this.#topics.values()) if (refusal) return refusal;
    return null;
  }

  #enter() {
    this.#leave();
    const channel = (this.#channel = new BroadcastChannel(this.#name));
    channel.onmessage = ({ data }) => this.#receive(data);
    const waiting = (this.#waiting = new AbortController());
    this.#heard = Date.now();
    this.#looking = setInterval(() => this.#look(), LOOK_MS);
    // Held until the tab leaves, however it does. Before, the leader would take it for gone.
    const present = () => {
      this.#present = true;
      this.#announce();
      return new Promise((resolve) => waiting.signal.addEventListener("abort", resolve));
    };
    navigator.locks.request(this.#name + this.#id, { signal: waiting.signal }, present).catch(() => {});
    this.#queue(waiting, {});
    return channel;
  }

  #leave() {
    if (this.#waiting.signal.aborted || !this.#channel) return;
    this.#send({ say: "bye", from: this.#id });
    this.#waiting.abort();
    this.#present = false;
    this.#unlead();
    this.#reader.stop();
    this.#channel.close();
    clearInterval(this.#looking);
    for (const topic of this.#topics.values()) topic.current = false;
  }

  /**
   * Wait for the lock, and lead from then on.
   * @param {AbortController} waiting
   * @param {LockOptions} options
   */
  #queue(waiting, options) {
    const { signal } = waiting;
    const lead = () => {
      if (signal.aborted || this.#alone) return;
      this.#lead();
      return new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    // A lock cannot be stolen under a signal.
    navigator.locks.request(this.#name, options.steal ? options : { signal }, lead).catch(() => {
      if (signal.aborted) return;
      // Another tab has taken the lock over.
      this.#unlead();
      this.#queue(waiting, {});
      this.#announce();
    });
  }

  #lead() {
    if (this.#leader) return;
    this.#reader.stop();
    // The stream begins where this tab is, with nothing or with all.
    const topics = [...this.#topics.values()];
    const same = topics.every(({ cursor }) => !cursor) || topics.every(({ cursor, whole }) => cursor && whole);
    for (const topic of topics) topic.current = same;
    this.#leader = new Leader(this.#options, {
      name: this.#name,
      id: this.#id,
      send: (note) => {
        this.#send(note);
        this.#receive(note);
      },
    });
    this.#leader.tab(this.#id, this.#followed(), this.#attentive);
    this.#send({ say: "lead", from: this.#id });
  }

  #unlead() {
    this.#leader?.close();
    this.#leader = null;
  }

  /** Tell the leader what this tab follows. */
  #announce() {
    if (this.#announcing) return;
    this.#announcing = true;
    queueMicrotask(() => {
      this.#announcing = false;
      if (this.#waiting.signal.aborted) return;
      const topics = this.#followed();
      if (this.#leader) this.#leader.tab(this.#id, topics, this.#attentive);
      else if (this.#present) this.#send({ say: "tab", from: this.#id, topics, attentive: this.#attentive });
    });
  }

  /** @returns {[string, string | null][]} */
  #followed() {
    return [...this.#topics].map(([name, { cursor }]) => [name, cursor]);
  }

  /** @param {Note} note */
  #send(note) {
    if (!this.#waiting.signal.aborted) this.#channel.postMessage(note);
  }

  /** @param {Note} note */
  #receive(note) {
    if (note.say === "tab") return this.#leader?.tab(note.from, note.topics, note.attentive);
    if (note.say === "bye") return this.#leader?.leave(note.from);
    if (note.say === "retry") return this.#leader?.connection.retry();
    this.#heard = Date.now();
    if (note.say === "item") {
      if (!note.to || note.to === this.#id) this.#item(note.item);
    } else if (note.say === "full" && note.to === this.#id) this.#goAlone();
    else if (note.say === "standing") {
      this.#standing = note.standing;
      this.#tell();
      this.#look();
    } else if (note.say === "lead") {
      this.#reader.stop();
      for (const topic of this.#topics.values()) topic.current = false;
      this.#announce();
    }
  }

  /** @param {Item} item */
  #item(item) {
    const { receiver } = this.#options;
    const [kind] = item;
    if (kind === "beat") return receiver.beat(item[1]);
    if (kind === "message") return this.#message(item[1], item[2]);
    if (kind === "refused") return this.#refuse(item[1], item[2]);
    const names = item[1].filter((name) => this.#topics.has(name));
    if (!names.length) return;
    if (kind === "reset") {
      // All that follows is the state.
      this.#reader.stop(names);
      for (const name of names) this.#edit(name, { cursor: null, current: true, whole: false, waiting: [] });
      receiver.reset(names);
      return;
    }
    const current = names.filter((name) => this.#topics.get(name)?.current);
    for (const name of current) this.#edit(name, { whole: true, refusal: null });
    if (current.length) receiver.whole(current);
    this.#reader.read(names.filter((name) => !current.includes(name) && !this.#reader.has(name)));
    this.#tell();
  }

  /**
   * @param {string} name
   * @param {Refusal | null} refusal
   */
  #refuse(name, refusal) {
    this.#edit(name, { refusal: refusal && new HubError(refusal.message, refusal.status, refusal.code) });
    this.#tell();
  }

  /**
   * @param {string} name
   * @param {Partial<Topic>} change
   */
  #edit(name, change) {
    const topic = this.#topics.get(name);
    if (topic) Object.assign(topic, change);
  }

  /**
   * @param {Message} message
   * @param {string[]} names  the topics that its cursor holds for
   * @param {boolean} [waited]  for the state to be read, so that another read would not help
   */
  #message(message, names, waited = false) {
    const channel = message.data?.channel_id;
    const mine = names.filter((name) => this.#topics.has(name));
    const named = mine.filter((name) => namedBy(name)(channel));
    const reading = named.filter((name) => this.#reader.has(name));
    for (const name of reading) this.#topics.get(name)?.waiting.push(message);
    const fitting = !named.length || reading.length > 0 || this.#options.receiver.message(message, mine);
    for (const name of mine) {
      const topic = /** @type {Topic} */ (this.#topics.get(name));
      // Of a topic that is not current, the state before is not here yet: its cursor stands.
      if (topic.current && !reading.includes(name) && (fitting || !named.includes(name))) topic.cursor = message.id;
    }
    if (fitting) return;
    const misfits = named.filter((name) => this.#topics.get(name)?.current);
    if (!misfits.length || waited) return;
    this.misfits += 1;
    for (const name of misfits) this.#topics.get(name)?.waiting.push(message);
    this.#reader.read(misfits);
  }

  /**
   * @param {string[]} names
   * @param {import("./poll.js").Answer} answer
   */
  #take(names, { cursor, reset, events }) {
    const { receiver } = this.#options;
    if (reset) receiver.reset(names);
    for (const message of events) if (this.#known(message.type)) receiver.message(message, names);
    for (const name of names) {
      const topic = this.#topics.get(name);
      if (!topic) continue;
      Object.assign(topic, { cursor, current: true, whole: true });
      for (const message of topic.waiting.splice(0)) this.#message(message, [name], true);
    }
    receiver.whole(names);
    this.#tell();
  }

  /** @param {string} type */
  #known(type) {
    return type === "content_removed" || this.#options.types.has(type);
  }

  #shown() {
    if (this.#leader) this.#leader.stand();
    this.#look();
  }

  /** Take over where the leader is silent, or a hidden page that has to poll, which happens once a minute there. */
  #look() {
    if (this.#leader || this.#alone || isHidden() || this.#waiting.signal.aborted) return;
    const { hidden, state } = this.#standing;
    const late = Date.now() - this.#heard > SILENT_MS;
    if (!late && !(hidden && this.#attentive && !["live", "connecting"].includes(state))) return;
    this.#heard = Date.now();
    this.#standing = { ...this.#standing, hidden: false };
    this.#queue(this.#waiting, { steal: true });
  }

  #goAlone() {
    if (this.#alone) return;
    this.#leave();
    this.#alone = new Connection(this.#options);
    for (const [name, { cursor }] of this.#topics) this.#alone.follow(name, cursor);
    this.#alone.attend(this.#attentive);
  }

  #tell() {
    const told = `${this.state} ${this.failing} ${this.reason}`;
    if (told === this.#told) return;
    this.#told = told;
    this.#options.receiver.changed();
  }
}

/** Holds the connection for the topics of all tabs. */
class Leader {
  /** @type {Map<string, { topics: string[], attentive: boolean }>} */
  #tabs = new Map();
  #means;
  #pulse;
  /** Ends the waits for the ends of tabs. */
  #closing = new AbortController();

  /**
   * @param {import("./connection.js").Options} options
   * @param {{ name: string, id: string, send: (note: Note) => void }} means
   */
  constructor(options, means) {
    this.#means = means;
    const { send } = means;
    this.connection = new Connection({
      ...options,
      // Each tab chooses from what is passed on.
      contentIds: [],
      receiver: {
        message: (message, topics) => {
          send({ say: "item", item: ["message", message, topics] });
          return true;
        },
        reset: (topics) => send({ say: "item", item: ["reset", topics] }),
        whole: (topics) => send({ say: "item", item: ["whole", topics] }),
        beat: (time) => send({ say: "item", item: ["beat", time] }),
        changed: () => this.stand(),
        refused: (topic, refusal) => {
          const { message, status, code } = refusal ?? {};
          send({
            say: "item",
            item: ["refused", topic, refusal && /** @type {Refusal} */ ({ message, status, code })],
          });
        },
        busy: () => true,
      },
    });
    this.#pulse = setInterval(() => this.stand(), PULSE_MS);
  }

  /** Say how the connection stands. */
  stand() {
    const { standing: state, reason, failing } = this.connection;
    if (state !== "closed")
      this.#means.send({ say: "standing", standing: { state, reason, failing, hidden: isHidden() } });
  }

  /**
   * A tab says what it follows.
   * @param {string} id
   * @param {[string, string | null][]} topics
   * @param {boolean} attentive
   */
  tab(id, topics, attentive) {
    const names = topics.map(([name]) => name);
    const before = this.#tabs.get(id);
    this.#tabs.set(id, { topics: names, attentive });
    if (!fits(this.#union())) {
      this.#tabs.delete(id);
      this.#means.send({ say: "full", to: id });
      return;
    }
    const current = this.connection.current.filter((name) => names.includes(name));
    for (const [name, cursor] of topics) this.connection.follow(name, cursor, true);
    this.#cut();
    this.connection.attend([...this.#tabs.values()].some((tab) => tab.attentive));
    if (!before && id !== this.#means.id) this.#watch(id);
    this.stand();
    // That they are was said before this tab came.
    if (current.length) this.#means.send({ say: "item", to: id, item: ["whole", current] });
  }

  /** @param {string} id */
  leave(id) {
    if (!this.#tabs.delete(id)) return;
    this.#cut();
    this.connection.attend([...this.#tabs.values()].some((tab) => tab.attentive));
  }

  close() {
    this.#closing.abort();
    clearInterval(this.#pulse);
    this.connection.close();
  }

  #union() {
    return new Set([...this.#tabs.values()].flatMap((tab) => tab.topics));
  }

  /** Follow no longer what no tab follows. */
  #cut() {
    const wanted = this.#union();
    for (const name of this.connection.topics) if (!wanted.has(name)) this.connection.unfollow(name);
  }

  /** @param {string} id */
  #watch(id) {
    const { signal } = this.#closing;
    // The lock of a tab is free when the tab is gone.
    navigator.locks.request(this.#means.name + id, { signal }, () => this.leave(id)).catch(() => {});
  }
}

/** @param {Set<string>} topics */
function fits(topics) {
  const query = new URLSearchParams([...topics].map((topic) => ["channel", topic]));
  return topics.size <= TOPICS_MAX && String(query).length <= QUERY_MAX;
}
