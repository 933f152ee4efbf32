/** One channel as the page follows it: its connection, and the board of its contents. */
import { connect } from "../client/index.js";
import { Board } from "./board.js";
import { NOTHING } from "./session.js";
import { errorOf, titleOf } from "./status.js";

/**
 * @fires Feed#change  at most once a frame, after changes of contents
 * @fires Feed#state   the connection's state, or what is allowed, has changed
 */
export class Feed extends EventTarget {
  #session;
  #watching;
  #hub;
  /** @type {(() => void) | null} */
  #letGo = null;

  channel;
  types;
  board;

  /** Whether the whole state is here. */
  ready = false;

  /** @type {import("./session.js").Rights} */
  may = NOTHING;

  /** Contents that have ended since they were last asked for. @type {import("./board.js").Item[]} */
  #ended = [];

  /**
   * @param {{ channel: string, types?: string[] }} place
   * @param {{ clock: import("./clock.js").HubClock, session: import("./session.js").Session,
   *   watching: import("./watching.js").Watching }} app
   * @param {Set<string>} hidden  those whose removal can be undone still
   */
  constructor({ channel, types = [] }, { clock, session, watching }, hidden) {
    super();
    this.channel = channel;
    this.types = types;
    this.#session = session;
    this.#watching = watching;
    this.board = new Board(clock, hidden);
    // Of the whole channel, also for the page of one content: all tabs share one stream, and browsers open few.
    const hub = (this.#hub = connect({ channels: [channel], types }));
    let settled = false;
    hub.on("status", ({ content: said, delta }) => {
      const item = this.board.apply(said, settled, delta);
      if (item) this.#end(item);
    });
    hub.on("removed", ({ id }) => this.board.remove(id));
    hub.on("reset", () => (settled = false));
    hub.on("ready", () => {
      // What was void, and has not come again, is gone.
      this.board.keep((id) => hub.get(id, channel) !== undefined);
      settled = this.ready = true;
      clock.run(true);
      this.#tell("state");
    });
    hub.on("heartbeat", ({ timestamp }) => clock.told(timestamp));
    hub.on("state", () => this.#tell("state"));
    hub.subscribe(() => this.#tell("change"));
    this.ask();
  }

  get state() {
    return this.invalid ? "invalid" : this.#hub.state;
  }

  /** @returns {string | null} in the hub's words, or the network's */
  get reason() {
    return this.invalid ?? this.#hub.reason;
  }

  /** Why no channel can have this name, in the hub's words. @type {string | null} */
  invalid = null;

  /** Asks what is allowed here. */
  async ask() {
    const { status, said, reason } = await this.#session.ask(this.channel);
    if (status === 422) this.#invalidate(reason);
    this.may = said?.may ?? NOTHING;
    this.#tell("state");
  }

  retry() {
    this.#hub.retry();
    this.ask();
  }

  /**
   * Keeps the stream of a hidden tab: its title shows progress, or a notification is to be given.
   * @param {boolean} wanted
   */
  keep(wanted) {
    if (wanted) this.#letGo ??= this.#hub.keep();
    else {
      this.#letGo?.();
      this.#letGo = null;
    }
  }

  /** What has ended while the page was open, since this was last asked. */
  takeEnded() {
    return this.#ended.splice(0);
  }

  close() {
    this.#hub.close();
  }

  /** @param {import("./board.js").Item} item */
  #end(item) {
    this.#ended.push(item);
    const { channel, id, phase, data } = item;
    this.#watching.ended({
      channel,
      id,
      phase,
      title: titleOf(data) || id,
      error: phase === "failed" ? errorOf(data) : "",
    });
  }

  /** No channel has this name: trying again would change nothing. @param {string} reason */
  #invalidate(reason) {
    this.invalid = reason;
    this.#hub.close();
  }

  /** @param {string} type */
  #tell(type) {
    this.dispatchEvent(new Event(type));
  }
}
