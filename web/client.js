/**
 * The browser client: one channel's statuses over Server-Sent Events and, where no stream gets through, over polls.
 * Both share the cursor, so a change of transport neither misses nor repeats a status.
 *
 *     const stream = new StatusStream("encodes");
 *     stream.addEventListener("status", ({ detail }) => console.log(detail.id, detail.type, detail.data));
 *     stream.addEventListener("removed", ({ detail }) => console.log(detail.id, detail.data.content_id));
 *     stream.addEventListener("reset", () => console.log("discard everything; the whole state follows"));
 *     stream.addEventListener("ready", () => console.log("up to date; what follows happens now"));
 *     stream.addEventListener("state", () => console.log(stream.state, stream.reason));
 *     stream.close();
 *
 * Where the hub requires a token, pages of its origin send a cookie, and other pages pass tickets:
 *
 *     new StatusStream("encodes", { base: "https://hub.example", ticket: () => fetchTicketFromMyBackend() });
 */
import { grown } from "./growth.js";
import { Poller, failureOf } from "./poller.js";
import { Tickets } from "./tickets.js";

/** The hub's event types. `EventSource` only delivers types that have a listener; name others in `types`. */
export const TYPES = ["content_status_update", "encoding_progress", "processing_complete", "processing_error"];

/** The type of the last event of a content that was removed. */
export const REMOVED = "content_removed";

/** The type of an event that says only what changed in a content that grows. Pages are told the whole state. */
const DELTA = "content_delta";

const CONTROLS = ["ready", "reset", "heartbeat", "drain", "error"];

/** The hub's default, until its `ready` tells its heartbeat. */
const HEARTBEAT_MS = 15_000;

/** Silence after which the connection counts as dead, in heartbeats: two are missing then. */
const SILENCE_FACTOR = 2.5;

/** Deadline for the first event. A stream begins with its state immediately; silence means that a proxy buffers it. */
const OPEN_MS = 5_000;

/** Deadline for the browser's own reconnect: the hub's `retry`, which is a few seconds, and the time to open. */
const RECONNECT_MS = 10_000;

/** Failed attempts in a row before the page polls. */
const FAILURES_MAX = 3;

/** Between attempts to return from polls to the stream; jittered against a thundering herd. */
const PROBE_MS = 30_000;

const FAST_POLL_MS = 3_000;
const SLOW_POLL_MS = 10_000;

/**
 * `refused`: the hub refuses the page's credentials, and `reason` is its message. Polls go on with an exponential
 * back-off (3 s to 2 minutes), pause while the tab is hidden, and resume when it shows again, so the page recovers when
 * its cookie is renewed elsewhere. `retry()`, after a sign-in, does not wait.
 *
 * @typedef {"connecting" | "live" | "reconnecting" | "polling" | "offline" | "refused"} State
 * @typedef {object} Status
 * @property {string} id    the cursor `epoch-offset`
 * @property {string} type
 * @property {Record<string, any>} data
 * @property {{ set: Record<string, any>, append: Record<string, any> }} [delta]  what changed, where the content grew
 */

/**
 * @fires StatusStream#status  CustomEvent<Status>: a state newer than all before it of the same content
 * @fires StatusStream#removed CustomEvent<Status>: a content was removed; `data` has only its id and channel
 * @fires StatusStream#reset   all states so far are void
 * @fires StatusStream#ready   the whole current state has been dispatched
 * @fires StatusStream#heartbeat CustomEvent<{ timestamp: string }>: the stream lives, and this is the hub's time
 * @fires StatusStream#state   `state`, `reason` or `interval` changed
 */
export class StatusStream extends EventTarget {
  #channel;
  #base;
  #types;
  #credentials;
  #tickets;
  #poller;
  /** Identifies the current attempt: a ticket that arrives for an earlier one is discarded. */
  #opening = {};
  /** @type {EventSource | null} */
  #source = null;
  #alive = false;
  #met = false;
  #heard = 0;
  #failures = 0;
  /** Attempts to go live that failed, and of which the hub has not been told. */
  #unreported = 0;
  #silence = HEARTBEAT_MS * SILENCE_FACTOR;
  #deadline = 0;
  #probe = 0;
  #epoch = "";
  /** Of a content that is busy, and so may grow, also its state. @type {Map<string, { offset: number, busy: boolean }>} */
  #contents = new Map();
  #reported = "";
  /** Whether growing contents come as deltas, rather than as whole states. */
  #deltas = true;

  /** The cursor to resume from, or null before the first state. @type {string | null} */
  cursor = null;

  /** How often a delta did not build on what is here, so that the whole state was asked for. */
  misfits = 0;

  /**
   * Opens the stream immediately; events are dispatched in later tasks.
   * @param {string} channel
   * @param {{
   *   base?: string | URL,
   *   types?: string[],
   *   ticket?: () => string | Promise<string>,
   *   credentials?: boolean,
   * }} [options]
   *   `base`: the hub's URL, by default the page's; `types`: event types beside the hub's;
   *   `ticket`: returns a new ticket, from the page's backend or `POST /api/tickets`. It is called for each new stream
   *   (the browser's own reconnects repeat the last ticket) and when a ticket has expired; where it throws or rejects,
   *   the state is `offline`, the error's message is the `reason`, and it is called again with a back-off;
   *   `credentials`: send cookies to a hub of another origin, which must list the page's origin in `--cors-origin`
   */
  constructor(channel, { base = document.baseURI, types = [], ticket, credentials = false } = {}) {
    super();
    this.#channel = channel;
    this.#base = base;
    this.#types = new Set([...TYPES, REMOVED, DELTA, ...types]);
    this.#credentials = credentials;
    this.#tickets = new Tickets(ticket);
    this.#poller = new Poller({
      address: () => this.#address("changes"),
      credentials: credentials ? "include" : "same-origin",
      interval: () => this.interval,
      refused: (address) => this.#tickets.refused(address),
      answered: (answer, recovered) => this.#answered(answer, recovered),
      failed: () => this.#failed(),
    });
    window.addEventListener("online", this.#networkChanged);
    window.addEventListener("offline", this.#networkChanged);
    document.addEventListener("visibilitychange", this.#shown);
    this.#open();
  }

  /** @returns {State} */
  get state() {
    if (this.#alive) return "live";
    if (this.#poller.refused) return "refused";
    if (this.#poller.running) return this.#poller.failing ? "offline" : "polling";
    if (!navigator.onLine) return "offline";
    return this.#met ? "reconnecting" : "connecting";
  }

  /** Why there is no answer: the message of the hub or of the page's ticket function; empty where there is none. */
  get reason() {
    return this.#poller.reason;
  }

  /** Milliseconds between polls: fewer while a content is being processed. */
  get interval() {
    for (const content of this.#contents.values()) if (content.busy) return FAST_POLL_MS;
    return SLOW_POLL_MS;
  }

  /** Opens the stream immediately, in every state; for use after a sign-in. Nothing is missed or repeated. */
  retry() {
    this.#poller.stop();
    this.#open();
  }

  /** Closes it for good: no event, request or timer remains. */
  close() {
    this.#drop();
    this.#poller.stop();
    window.removeEventListener("online", this.#networkChanged);
    window.removeEventListener("offline", this.#networkChanged);
    document.removeEventListener("visibilitychange", this.#shown);
  }

  async #address(leaf, { fresh = false } = {}) {
    const ticket = await this.#tickets.next({ fresh });
    const url = new URL(`api/contents/${encodeURIComponent(this.#channel)}/${leaf}`, this.#base);
    if (this.cursor) url.searchParams.set("since", this.cursor);
    if (leaf === "changes") this.#tell(url);
    if (ticket) url.searchParams.set("ticket", ticket);
    return url;
  }

  /** For the hub's metrics: that this page polls, and why. */
  #tell(url) {
    url.searchParams.set("polling", String(this.interval));
    if (this.#unreported) url.searchParams.set("failed", String(this.#unreported));
  }

  async #open() {
    this.#drop();
    this.#expect(OPEN_MS);
    this.#report();
    const opening = this.#opening;
    let address;
    try {
      address = await this.#address("events", { fresh: true });
    } catch (error) {
      if (this.#opening === opening) this.#fallBack({ failure: failureOf(error) });
      return;
    }
    if (this.#opening !== opening) return;
    // Whatever the hub's default is.
    address.searchParams.set("events", "named");
    if (this.#deltas) address.searchParams.set("deltas", "1");
    this.#source = new EventSource(address, { withCredentials: this.#credentials });
    for (const type of [...this.#types, ...CONTROLS]) this.#source.addEventListener(type, this.#hear);
    this.#expect(OPEN_MS);
  }

  #drop() {
    this.#opening = {};
    this.#source?.close();
    this.#source = null;
    this.#alive = false;
    clearTimeout(this.#deadline);
    clearTimeout(this.#probe);
  }

  #expect(milliseconds) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#late(), milliseconds);
  }

  #hear = (event) => {
    if (event.type === "error") return this.#broke();
    const data = parse(event.data);
    if (event.type === "drain") return this.#drained(data?.retry_ms);
    this.#lives();
    if (event.type === "reset") this.#forget();
    else if (event.type === "ready") this.#complete(data);
    else if (event.type === "heartbeat") this.dispatchEvent(new CustomEvent("heartbeat", { detail: data ?? {} }));
    else if (event.type === DELTA) this.#grow(event.lastEventId, data);
    else this.#apply({ id: event.lastEventId, type: event.type, data });
  };

  #lives() {
    this.#heard = Date.now();
    this.#failures = 0;
    this.#tickets.taken();
    this.#expect(this.#silence);
    if (this.#alive) return;
    this.#alive = this.#met = true;
    this.#unreported = 0;
    this.#poller.stop();
    this.#report();
  }

  /** The browser also fires `error` before each automatic reconnect: only CLOSED means that it has given up. */
  #broke() {
    this.#alive = false;
    this.#failures += 1;
    const closed = this.#source.readyState === EventSource.CLOSED;
    // Most likely the browser reconnected with a ticket that has expired.
    if (closed && this.#tickets.outdated(this.#source.url)) return this.#open();
    if (closed || this.#failures >= FAILURES_MAX) return this.#fallBack();
    if (this.#met) this.#expect(RECONNECT_MS);
    this.#report();
  }

  /** The browser reconnects by itself after `retry`; where that is long, the page polls meanwhile. */
  #drained(retry) {
    if (retry > RECONNECT_MS) this.#fallBack({ probe: retry });
  }

  #late() {
    if (!this.#alive) return this.#fallBack();
    this.#failures += 1;
    this.#open();
  }

  #fallBack({ probe = PROBE_MS * (0.8 + 0.4 * Math.random()), failure } = {}) {
    this.#drop();
    this.#unreported += 1;
    this.#poller.start(failure);
    // Without a ticket, or with refused ones, a stream is not tried: the poller notices when that changes.
    const barred = this.#poller.refused || (failure && this.#poller.failing);
    if (!barred) this.#probe = setTimeout(() => this.#open(), probe);
    this.#report();
  }

  #failed() {
    if (this.#poller.refused) clearTimeout(this.#probe);
    this.#report();
  }

  #networkChanged = () => this.#open();

  /** Timers do not run while a phone sleeps, so the deadline may have passed unnoticed. */
  #shown = () => {
    if (!document.hidden && this.#alive && Date.now() - this.#heard > this.#silence) this.#late();
  };

  #answered(answer, recovered) {
    this.#tickets.taken();
    this.#unreported = 0;
    if (answer.reset || (this.#epoch && epochOf(answer.cursor) !== this.#epoch)) this.#forget();
    for (const event of answer.events) if (this.#types.has(event.type)) this.#apply(event);
    this.#ready(answer);
    this.#report();
    if (recovered) this.#open();
  }

  #forget() {
    this.#contents.clear();
    this.#epoch = "";
    this.cursor = null;
    this.dispatchEvent(new Event("reset"));
  }

  #complete(data) {
    this.#ready(data);
    if (this.#deltas) return;
    // The whole states that were asked for are here.
    this.#deltas = true;
    this.#open();
  }

  #ready(data) {
    if (data?.heartbeat_ms > 0) this.#silence = data.heartbeat_ms * SILENCE_FACTOR;
    if (data?.cursor) {
      this.cursor = data.cursor;
      this.#epoch = epochOf(data.cursor);
    }
    this.dispatchEvent(new Event("ready"));
  }

  #grow(id, said) {
    const known = this.#contents.get(said?.content_id);
    if (Number(id.slice(id.lastIndexOf("-") + 1)) <= known?.offset && epochOf(id) === this.#epoch) return;
    if (known?.id === said?.after && known?.data) {
      const { set = {}, append = {} } = said;
      return this.#apply({ id, type: known.type, data: grown(known.data, said), delta: { set, append } });
    }
    // The cursor still stands before this delta, so that the stream begins with the whole state.
    this.misfits += 1;
    this.#deltas = false;
    this.#open();
  }

  /** @param {Status} status  ignored where a state of its content that is as new has been dispatched */
  #apply({ id, type, data, delta }) {
    if (!id || !data?.content_id) return;
    const epoch = epochOf(id);
    if (this.#epoch && epoch !== this.#epoch) this.#forget();
    this.#epoch = epoch;
    this.cursor = id;
    const offset = Number(id.slice(epoch.length + 1));
    if (offset <= this.#contents.get(data.content_id)?.offset) return;
    const busy = data.status === "generating" || data.processing_status === "pending";
    this.#contents.set(data.content_id, busy ? { offset, busy, id, type, data } : { offset, busy });
    const detail = delta ? { id, type, data, delta } : { id, type, data };
    this.dispatchEvent(new CustomEvent(type === REMOVED ? "removed" : "status", { detail }));
  }

  #report() {
    const report = `${this.state} ${this.interval} ${this.reason}`;
    if (report === this.#reported) return;
    this.#reported = report;
    this.dispatchEvent(new Event("state"));
  }
}

function epochOf(cursor) {
  return cursor.slice(0, cursor.lastIndexOf("-"));
}

/** Producers may store anything: what is not JSON is no status. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
