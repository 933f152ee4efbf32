/**
 * One stream for all tabs of an origin. Web Locks elect a leader, whose connection follows the topics of all tabs, and
 * which passes on what it hears by a `BroadcastChannel`. Each tab reads the state of its own topics by itself, with its
 * own rights, once the leader follows them; so nothing lies between the state and what follows. Where the leader goes,
 * the lock goes to the next tab, which begins where each topic was.
 *
 * A tab holds a lock of its own, too, by which the leader learns that it is gone, whatever has ended it.
 */
import { HubError } from "./error.js";
import { Followed } from "./followed.js";
import { Leader } from "./leader.js";
import { Reader, tellEvents } from "./poll.js";
import { isHidden, watch } from "./surroundings.js";
import { namedBy } from "./topics.js";

/**
 * @typedef {import("./view.js").Message} Message
 * @typedef {import("./leader.js").Refusal} Refusal
 *
 * @typedef {import("./leader.js").Word
 *   | { say: "tab", from: string, topics: [string, string | null][], attentive: boolean }
 *   | { say: "bye", from: string }
 *   | { say: "retry" }} Note  what tabs say to each other
 *
 * @typedef {import("./followed.js").Topic & { current: boolean, waiting: Message[] }} Topic
 *   current: whether its state was read since the leader follows it, so that nothing is missing;
 *   waiting: what came while the state is being read
 */

/** Silence of a leader after which a tab that is looked at takes over. */
const SILENT_MS = 45_000;

/** Between looks at whether the leader is silent. */
const LOOK_MS = 5_000;

/** The same interface as `Connection`. */
export class Tabs {
  /** @type {Followed<Topic>} */
  topics = new Followed();
  #options;
  #Connection;
  #full;
  #id = crypto.randomUUID();
  #name;
  /** @type {BroadcastChannel} */
  #channel;
  #attentive = !isHidden();
  /** @type {import("./leader.js").Standing} */
  #standing = { state: "connecting", reason: null, failing: false, hidden: false };
  /** @type {Leader | null} */
  #leader = null;
  #heard = 0;
  #reader;
  /** Ends the locks, and the wait for them. */
  #presence = new AbortController();
  #unwatch;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #looking;
  #told = "";
  #announcing = false;
  /** Whether the tab has its own lock. Before, the leader would take it for gone. */
  #present = false;

  /**
   * @param {import("./connection.js").Options} options
   * @param {import("./leader.js").Means["Connection"]} Connection
   * @param {() => void} full  called where there is no room in the leader's stream: this one is closed then
   */
  constructor(options, Connection, full) {
    this.#options = options;
    this.#Connection = Connection;
    this.#full = full;
    const { hub, cookies, transport, types } = options;
    // Only what makes the same stream is shared. Two versions of this module do not talk to each other.
    this.#name = `statushub 2 ${hub.href} ${cookies} ${transport} ${[...types].sort().join()}`;
    this.#reader = new Reader(options, {
      since: this.topics.since,
      take: (names, answer) => this.#take(names, answer),
      refuse: (name, refusal) => this.#refuse(name, refusal),
      // It goes on in a hidden page, since the leader says only once that a topic can be read.
      wanted: () => true,
    });
    this.#unwatch = watch({
      hidden: () => {
        this.#leader?.stand();
        this.#look();
      },
      asleep: (asleep) => (asleep ? this.#leave() : this.#enter()),
    });
    this.#channel = this.#enter();
  }

  get state() {
    return this.error ? "refused" : this.#standing.state;
  }

  get reason() {
    return this.error?.message ?? this.#standing.reason;
  }

  get error() {
    return this.topics.refusal;
  }

  get failing() {
    return this.#standing.failing;
  }

  /**
   * @param {string} name
   * @param {string | null} [cursor]
   */
  follow(name, cursor = null) {
    if (this.topics.has(name)) return;
    this.topics.set(name, { cursor, current: false, whole: false, refusal: null, waiting: [] });
    this.#announce();
  }

  /** @param {string} name */
  unfollow(name) {
    if (!this.topics.delete(name)) return;
    this.#reader.stop([name]);
    this.#announce();
  }

  /** @param {boolean} attentive */
  attend(attentive) {
    if (attentive === this.#attentive) return;
    this.#attentive = attentive;
    this.#announce();
  }

  retry() {
    this.#send({ say: "retry" });
  }

  close() {
    this.#unwatch();
    this.#leave();
  }

  #enter() {
    this.#leave();
    const channel = (this.#channel = new BroadcastChannel(this.#name));
    channel.onmessage = ({ data }) => this.#receive(data);
    const { signal } = (this.#presence = new AbortController());
    this.#heard = Date.now();
    this.#looking = setInterval(() => this.#look(), LOOK_MS);
    const present = () => {
      this.#present = true;
      this.#announce();
    };
    // Held until the tab leaves, however it does.
    hold(this.#name + this.#id, { signal }, signal, present).catch(() => {});
    this.#queue({ signal });
    return channel;
  }

  #leave() {
    if (this.#presence.signal.aborted || !this.#channel) return;
    this.#unlead();
    this.#send({ say: "bye", from: this.#id });
    this.#presence.abort();
    this.#present = false;
    this.#reader.stop();
    this.#channel.close();
    clearInterval(this.#looking);
    this.#lapse(false);
  }

  /**
   * Wait for the lock, and lead from then on.
   * @param {LockOptions} options
   */
  #queue(options) {
    const { signal } = this.#presence;
    hold(this.#name, options, signal, () => this.#lead()).catch(() => {
      if (signal.aborted) return;
      // Another tab has taken the lock over.
      this.#unlead();
      this.#queue({ signal });
      this.#announce();
    });
  }

  #lead() {
    if (this.#leader) return;
    this.#reader.stop();
    // The stream begins where this tab is, with nothing or with all.
    const topics = [...this.topics.values()];
    this.#lapse(topics.every(({ cursor }) => !cursor) || topics.every(({ cursor, whole }) => cursor && whole));
    this.#leader = new Leader(this.#options, {
      name: this.#name,
      id: this.#id,
      send: (word) => this.#send(word),
      Connection: this.#Connection,
    });
    this.#leader.tab(this.#id, this.#followed(), this.#attentive);
    this.#channel.postMessage({ say: "lead" });
  }

  #unlead() {
    this.#leader?.close();
    this.#leader = null;
  }

  /** There is another stream, or none. @param {boolean} current */
  #lapse(current) {
    this.topics.edit([...this.topics.keys()], { current });
  }

  /** Tell the leader what this tab follows. */
  #announce() {
    if (this.#announcing) return;
    this.#announcing = true;
    queueMicrotask(() => {
      this.#announcing = false;
      if (this.#leader || this.#present) {
        this.#send({ say: "tab", from: this.#id, topics: this.#followed(), attentive: this.#attentive });
      }
    });
  }

  /** @returns {[string, string | null][]} */
  #followed() {
    return [...this.topics].map(([name, { cursor }]) => [name, cursor]);
  }

  /** To the other tabs and, where this one leads, to itself. @param {Note} note */
  #send(note) {
    if (this.#presence.signal.aborted) return;
    this.#channel.postMessage(note);
    if (this.#leader) this.#receive(note);
  }

  /** @param {Note} note */
  #receive(note) {
    const { receiver } = this.#options;
    if (note.say === "tab") return this.#leader?.tab(note.from, note.topics, note.attentive);
    if (note.say === "bye") return this.#leader?.leave(note.from);
    if (note.say === "retry") return this.#leader?.connection.retry();
    this.#heard = Date.now();
    if ("to" in note && note.to !== this.#id) return;
    if (note.say === "message") this.#message(note.message, note.topics);
    else if (note.say === "beat") receiver.beat(note.time);
    else if (note.say === "refused") this.#refuse(note.topic, note.refusal);
    else if (note.say === "full") {
      this.close();
      this.#full();
    } else if (note.say === "standing") {
      this.#standing = note.standing;
      this.#tell();
      this.#look();
    } else if (note.say === "lead") {
      this.#reader.stop();
      this.#lapse(false);
      this.#announce();
    } else {
      const names = note.topics.filter((name) => this.topics.has(name));
      if (!names.length) return;
      if (note.say === "reset") {
        // All that follows is the state.
        this.#reader.stop(names);
        for (const name of names) this.topics.edit([name], { cursor: null, current: true, whole: false, waiting: [] });
        receiver.reset(names);
      } else this.#whole(names);
    }
  }

  /**
   * The leader has the whole state of these topics; this tab reads that of those in which it may have missed something.
   * @param {string[]} names
   */
  #whole(names) {
    const current = names.filter((name) => this.topics.get(name)?.current);
    this.topics.edit(current, { whole: true, refusal: null });
    if (current.length) this.#options.receiver.whole(current);
    this.#reader.read(names.filter((name) => !current.includes(name) && !this.#reader.has(name)));
    this.#tell();
  }

  /**
   * @param {string} name
   * @param {Refusal | null} refusal
   */
  #refuse(name, refusal) {
    this.topics.edit([name], { refusal: refusal && new HubError(refusal.message, refusal.status, refusal.code) });
    this.#tell();
  }

  /**
   * @param {Message} message
   * @param {string[]} names  the topics that its cursor holds for
   * @param {boolean} [waited]  for the state to be read, so that another read would not help
   */
  #message(message, names, waited = false) {
    const topics = names.flatMap((name) => {
      const topic = this.topics.get(name);
      return topic ? [{ name, topic, named: namedBy(name)(message.data?.channel_id) }] : [];
    });
    const named = topics.filter((each) => each.named);
    const reading = named.filter(({ name }) => this.#reader.has(name));
    for (const { topic } of reading) topic.waiting.push(message);
    const mine = topics.map(({ name }) => name);
    const fitting = !named.length || reading.length > 0 || this.#options.receiver.message(message, mine);
    for (const each of topics) {
      // Of a topic that is not current, the state before is not here yet: its cursor stands.
      if (each.topic.current && !reading.includes(each) && (fitting || !each.named)) each.topic.cursor = message.id;
    }
    if (fitting || waited) return;
    const misfits = named.filter(({ topic }) => topic.current);
    for (const { topic } of misfits) topic.waiting.push(message);
    this.#reader.read(misfits.map(({ name }) => name));
  }

  /**
   * @param {string[]} names
   * @param {import("./poll.js").Answer} answer
   */
  #take(names, answer) {
    const { receiver } = this.#options;
    if (answer.reset) receiver.reset(names);
    tellEvents(this.#options, answer, names);
    this.topics.edit(names, { cursor: answer.cursor, current: true, whole: true });
    for (const name of names) {
      for (const message of this.topics.get(name)?.waiting.splice(0) ?? []) this.#message(message, [name], true);
    }
    receiver.whole(names);
    this.#tell();
  }

  /** Take over where the leader is silent, or a hidden page that has to poll, which happens once a minute there. */
  #look() {
    if (this.#leader || isHidden() || this.#presence.signal.aborted) return;
    const { hidden, state } = this.#standing;
    const late = Date.now() - this.#heard > SILENT_MS;
    if (!late && !(hidden && this.#attentive && !["live", "connecting"].includes(state))) return;
    this.#heard = Date.now();
    this.#standing = { ...this.#standing, hidden: false };
    this.#queue({ steal: true });
  }

  #tell() {
    const told = `${this.state} ${this.failing} ${this.reason}`;
    if (told === this.#told) return;
    this.#told = told;
    this.#options.receiver.changed();
  }
}

/**
 * Begins once the lock is there, and holds it until the signal aborts.
 * @param {string} name
 * @param {LockOptions} options  a lock cannot be stolen under a signal
 * @param {AbortSignal} signal
 * @param {() => void} begin
 */
function hold(name, options, signal, begin) {
  return navigator.locks.request(name, options, () => {
    if (signal.aborted) return;
    begin();
    return new Promise((resolve) => signal.addEventListener("abort", resolve));
  });
}
