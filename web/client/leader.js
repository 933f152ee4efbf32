/** The tab that holds the stream for all tabs of an origin, see tabs.js. */
import { isHidden } from "./surroundings.js";
import { TOPICS_MAX } from "./topics.js";

/**
 * @typedef {{ message: string, status: number, code?: string }} Refusal  an error that can be passed on
 *
 * @typedef {object} Standing  of the leader's connection
 * @property {import("./machine-state.js").State} state
 * @property {string | null} [reason]
 * @property {boolean} failing
 * @property {boolean} hidden   whether the leader is a hidden page, whose timers are late
 *
 * @typedef {{ say: "lead" }
 *   | { say: "message", message: import("./view.js").Message, topics: string[] }
 *   | { say: "reset", topics: string[] }
 *   | { say: "whole", topics: string[], to?: string }
 *   | { say: "beat", time: string }
 *   | { say: "refused", topic: string, refusal: Refusal | null }
 *   | { say: "standing", standing: Standing }
 *   | { say: "full", to: string }} Word  of the leader, to all tabs or to one
 *
 * @typedef {object} Means  what a leader needs of its tab
 * @property {string} name  of the locks
 * @property {string} id
 * @property {(word: Word) => void} send  to all tabs, this one included
 * @property {typeof import("./connection.js").Connection} Connection  which a page has loaded already
 */

/** Between the leader's signs of life, which are late where it is a hidden page. */
const PULSE_MS = 10_000;

/** Longest list of topics of one stream, in characters of its query, which the hub limits to 4 KiB. */
const QUERY_MAX = 3_000;

/** Holds the connection for the topics of all tabs, and passes on what it hears. */
export class Leader {
  /** @type {Map<string, { topics: string[], attentive: boolean }>} */
  #tabs = new Map();
  #means;
  #pulse;
  /** Ends the waits for the ends of tabs. */
  #closing = new AbortController();

  /**
   * @param {import("./connection.js").Options} options
   * @param {Means} means
   */
  constructor(options, means) {
    this.#means = means;
    const { send, Connection } = means;
    this.connection = new Connection({
      ...options,
      // Each tab chooses from what is passed on.
      contentIds: [],
      receiver: {
        message: (message, topics) => {
          send({ say: "message", message, topics });
          return true;
        },
        reset: (topics) => send({ say: "reset", topics }),
        whole: (topics) => send({ say: "whole", topics }),
        beat: (time) => send({ say: "beat", time }),
        changed: () => this.stand(),
        refused: (topic, error) => {
          const refusal = error && { message: error.message, status: error.status, code: error.code };
          send({ say: "refused", topic, refusal });
        },
        busy: () => true,
      },
    });
    this.#pulse = setInterval(() => this.stand(), PULSE_MS);
  }

  /** Say how the connection stands. */
  stand() {
    const { state, reason, failing } = this.connection;
    if (state !== "closed")
      this.#means.send({ say: "standing", standing: { state, reason, failing, hidden: isHidden() } });
  }

  /**
   * A tab says what it follows, from which cursor.
   * @param {string} id
   * @param {[string, string | null][]} topics
   * @param {boolean} attentive
   */
  tab(id, topics, attentive) {
    const { connection } = this;
    const names = topics.map(([name]) => name);
    const isNew = !this.#tabs.has(id);
    this.#tabs.set(id, { topics: names, attentive });
    if (!fits(this.#union())) {
      this.#tabs.delete(id);
      return this.#means.send({ say: "full", to: id });
    }
    const whole = names.filter((name) => connection.topics.get(name)?.whole);
    for (const [name, cursor] of topics) {
      // Rather from where the others are: its state is not needed.
      const other = [...connection.topics.values()].find(({ joined }) => joined);
      connection.follow(name, other ? other.cursor : cursor);
    }
    this.#settle();
    if (isNew && id !== this.#means.id) this.#watch(id);
    this.stand();
    // That they are was said before this tab came.
    if (whole.length) this.#means.send({ say: "whole", to: id, topics: whole });
  }

  /** @param {string} id */
  leave(id) {
    if (this.#tabs.delete(id)) this.#settle();
  }

  close() {
    this.#closing.abort();
    clearInterval(this.#pulse);
    this.connection.close();
  }

  #union() {
    return new Set([...this.#tabs.values()].flatMap((tab) => tab.topics));
  }

  /** Follow no longer what no tab follows, and be attentive where a tab is. */
  #settle() {
    const wanted = this.#union();
    for (const name of this.connection.topics.keys()) if (!wanted.has(name)) this.connection.unfollow(name);
    this.connection.attend([...this.#tabs.values()].some((tab) => tab.attentive));
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
