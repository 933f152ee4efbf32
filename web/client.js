/**
 * The browser client: one channel's statuses over Server-Sent Events and, where a stream cannot be had,
 * over polling with the same cursor, so that a change of transport neither misses nor repeats a status.
 *
 *     const stream = new StatusStream("encodes");
 *     stream.addEventListener("status", ({ detail }) => console.log(detail.id, detail.type, detail.data));
 *     stream.addEventListener("reset", () => console.log("forget everything; the whole state follows"));
 *     stream.addEventListener("ready", () => console.log("up to date; what follows happens now"));
 *     stream.addEventListener("state", () => console.log(stream.state, stream.reason));
 *     stream.close();
 *
 * Where the hub wants to know who asks, a page of its origin has a cookie, and any other gives tickets:
 *
 *     new StatusStream("encodes", { base: "https://hub.example", ticket: () => fetchTicketFromMyBackend() });
 */
import { Poller, failureOf } from "./poller.js";
import { Tickets } from "./tickets.js";

/** The hub's own event types. `EventSource` hears only the types it is told of; name others in `types`. */
export const TYPES = ["content_status_update", "encoding_progress", "processing_complete", "processing_error"];

const CONTROLS = ["ready", "reset", "heartbeat", "drain", "error"];

/** What the hub promises where its `ready` does not say otherwise. */
const HEARTBEAT_MS = 15_000;

/** Heartbeats that may be late before the socket counts as dead: two lost ones are no accident. */
const SILENCE_FACTOR = 2.5;

/** A stream begins with its state and `ready`; a proxy that buffers shows as silence after connecting. */
const OPEN_MS = 5_000;

/** For the browser's own reconnect: the hub's `retry` (a few seconds) and the time to open. */
const RECONNECT_MS = 10_000;

/** Attempts in a row that do not open before the page polls. */
const FAILURES_MAX = 3;

/** Between two attempts to return from polling to the stream; jittered, so pages do not return as one. */
const PROBE_MS = 30_000;

const FAST_POLL_MS = 3_000;
const SLOW_POLL_MS = 10_000;

/**
 * `refused`: the hub does not let this page in, and `reason` is its word for why. It is asked on, by polls that come
 * ever more slowly (3 s, doubled up to 2 minutes), not while the tab is hidden, and at once when it shows again: a page
 * whose token was renewed behind its back recovers by itself. `retry()`, after somebody signed in, does not wait.
 *
 * @typedef {"connecting" | "live" | "reconnecting" | "polling" | "offline" | "refused"} State
 * @typedef {{ id: string, type: string, data: Record<string, any> }} Status  `id` is the cursor `epoch-offset`
 */

/**
 * @fires StatusStream#status  CustomEvent<Status>: a state newer than any shown before of its content
 * @fires StatusStream#reset   all that was shown is void
 * @fires StatusStream#ready   all of today's state has been given
 * @fires StatusStream#state   `state`, `reason` or `interval` changed
 */
export class StatusStream extends EventTarget {
  #channel;
  #base;
  #types;
  #credentials;
  #tickets;
  #poller;
  /** The attempt under way: whoever comes late, with a ticket for an earlier one, opens nothing. */
  #opening = {};
  /** @type {EventSource | null} */
  #source = null;
  #alive = false;
  #met = false;
  #heard = 0;
  #failures = 0;
  #silence = HEARTBEAT_MS * SILENCE_FACTOR;
  #deadline = 0;
  #probe = 0;
  #epoch = "";
  /** @type {Map<string, { offset: number, busy: boolean }>} */
  #contents = new Map();
  #reported = "";

  /** The cursor to resume from, or null before the first state. @type {string | null} */
  cursor = null;

  /**
   * Opens the stream at once; events come from the next task on.
   * @param {string} channel
   * @param {{
   *   base?: string | URL,
   *   types?: string[],
   *   ticket?: () => string | Promise<string>,
   *   credentials?: boolean,
   * }} [options]
   *   `base`: the hub's address, by default the page's; `types`: event types beside the hub's own;
   *   `ticket`: gives a fresh ticket, of the page's own backend or of `POST /api/tickets`. It is called for each stream
   *   that is opened anew (the browser's own reconnects repeat the last ticket) and when a ticket has run out; where it
   *   throws or rejects, the state is `offline`, its message the `reason`, and it is called again with a back-off;
   *   `credentials`: send cookies to a hub of another origin, which must name the page's in `--cors-origin`
   */
  constructor(channel, { base = document.baseURI, types = [], ticket, credentials = false } = {}) {
    super();
    this.#channel = channel;
    this.#base = base;
    this.#types = new Set([...TYPES, ...types]);
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

  /** Why there is no answer, in the words of the hub or of the page's ticket function; empty where nobody says. */
  get reason() {
    return this.#poller.reason;
  }

  /** Milliseconds between two polls, as things are. */
  get interval() {
    for (const content of this.#contents.values()) if (content.busy) return FAST_POLL_MS;
    return SLOW_POLL_MS;
  }

  /** Tries the stream at once, whatever the state: somebody has signed in. Nothing is missed or repeated. */
  retry() {
    this.#poller.stop();
    this.#open();
  }

  /** Ends it for good: no event, request or timer outlives this. */
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
    if (ticket) url.searchParams.set("ticket", ticket);
    return url;
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
    else if (event.type === "ready") this.#ready(data);
    else if (event.type !== "heartbeat") this.#apply({ id: event.lastEventId, type: event.type, data });
  };

  #lives() {
    this.#heard = Date.now();
    this.#failures = 0;
    this.#tickets.taken();
    this.#expect(this.#silence);
    if (this.#alive) return;
    this.#alive = this.#met = true;
    this.#poller.stop();
    this.#report();
  }

  /** An `error` is also what every automatic reconnect begins with: only CLOSED means it is over. */
  #broke() {
    this.#alive = false;
    this.#failures += 1;
    const closed = this.#source.readyState === EventSource.CLOSED;
    // Most likely the browser came back with a ticket that has run out meanwhile.
    if (closed && this.#tickets.outdated(this.#source.url)) return this.#open();
    if (closed || this.#failures >= FAILURES_MAX) return this.#fallBack();
    if (this.#met) this.#expect(RECONNECT_MS);
    this.#report();
  }

  /** The browser reconnects on its own after `retry`; where that is long, the page polls meanwhile. */
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
    this.#poller.start(failure);
    // Where no ticket is to be had, or none helps, the poller finds out when that has changed.
    const barred = this.#poller.refused || (failure && this.#poller.failing);
    if (!barred) this.#probe = setTimeout(() => this.#open(), probe);
    this.#report();
  }

  #failed() {
    if (this.#poller.refused) clearTimeout(this.#probe);
    this.#report();
  }

  #networkChanged = () => this.#open();

  /** Timers stand still while a phone sleeps, and so does the watch over the socket. */
  #shown = () => {
    if (!document.hidden && this.#alive && Date.now() - this.#heard > this.#silence) this.#late();
  };

  #answered(answer, recovered) {
    this.#tickets.taken();
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

  #ready(data) {
    if (data?.heartbeat_ms > 0) this.#silence = data.heartbeat_ms * SILENCE_FACTOR;
    if (data?.cursor) {
      this.cursor = data.cursor;
      this.#epoch = epochOf(data.cursor);
    }
    this.dispatchEvent(new Event("ready"));
  }

  /** @param {Status} status  ignored where it is no newer than what was given of its content */
  #apply({ id, type, data }) {
    if (!id || !data?.content_id) return;
    const epoch = epochOf(id);
    if (this.#epoch && epoch !== this.#epoch) this.#forget();
    this.#epoch = epoch;
    this.cursor = id;
    const offset = Number(id.slice(epoch.length + 1));
    if (offset <= this.#contents.get(data.content_id)?.offset) return;
    const busy = data.status === "generating" || data.processing_status === "pending";
    this.#contents.set(data.content_id, { offset, busy });
    this.dispatchEvent(new CustomEvent("status", { detail: { id, type, data } }));
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

/** Any producer may have stored it: what is no JSON object is no status. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
