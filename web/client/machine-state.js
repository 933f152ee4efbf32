/** The state of a connection, of which the machine makes the next one. */

/** The hub's default, until its `ready` tells its heartbeat. */
const HEARTBEAT_MS = 15_000;

/** Silence after which the connection counts as dead, in heartbeats: two are missing then. */
export const SILENCE_FACTOR = 2.5;

export const NEVER = Infinity;

/**
 * @typedef {"connecting" | "live" | "reconnecting" | "polling" | "offline" | "refused" | "closed"} State
 *
 * @typedef {object} Failure   why there is no answer
 * @property {string} [reason] in words
 * @property {boolean} [refused]  the hub refuses: a repetition would change nothing
 * @property {import("./error.js").HubError} [error]  with what
 * @property {number} [wait]   milliseconds that the hub asks to wait
 *
 * @typedef {object} Machine
 * @property {"idle" | "on" | "asleep" | "closed"} mode
 * @property {boolean} streams    whether streams are tried at all
 * @property {boolean} attentive  whether the page is visible, or waits for something
 * @property {boolean} online     as the browser says
 * @property {number} letGoAt     when a hidden page goes to sleep
 *
 * @property {"none" | "opening" | "live" | "waiting"} stream
 * @property {number} streamAt    deadline for an open stream to say something; else when it is opened (again)
 * @property {boolean} [seamless] a live stream is being replaced: pages are not told
 * @property {boolean} deltas     whether the stream may say only what changed
 * @property {boolean} [met]      whether a stream was live before
 * @property {number} losses      in a row
 * @property {number} probes      that failed in a row
 * @property {number} unreported  attempts to go live that failed, and of which the hub has not been told
 * @property {number} silence     milliseconds after which a stream counts as dead
 *
 * @property {typeof import("./poll-region.js")} [region]  how to poll, once that is loaded
 * @property {"off" | "loading" | "waiting" | "asking"} polls
 * @property {number} pollsAt     deadline for the answer that is asked for; else when the next poll, or attempt to load, begins
 * @property {number} askedAt     when the last poll began
 * @property {boolean} [long]     whether the poll that runs is a long one
 * @property {number} shortUntil  until when long polls are not tried
 * @property {boolean} [answered] whether a poll was answered since polls began
 * @property {number} failures    of polls in a row
 * @property {Failure} failure    the last one
 *
 * @property {number} now         of the last event: milliseconds of a clock that never goes back
 * @property {number} random      of the last event: from 0 to 1
 * @property {Effect[]} effects   of the last event: what is to be done
 *
 * @typedef {{ do: "open", deltas: boolean }
 *   | { do: "drop" }
 *   | { do: "ask", wait: number, interval: number, failed: number }
 *   | { do: "stop" }
 *   | { do: "load" }} Effect
 *   open a stream in the place of one that there may be, drop it, poll, stop the poll that runs, load how to poll
 */

/**
 * @param {Partial<Machine>} [given]
 * @returns {Machine}
 */
export function created(given) {
  // The first step adds its time and its effects.
  return /** @type {Machine} */ ({
    mode: "idle",
    streams: true,
    attentive: true,
    online: true,
    letGoAt: NEVER,
    stream: "none",
    streamAt: NEVER,
    deltas: true,
    losses: 0,
    probes: 0,
    unreported: 0,
    silence: HEARTBEAT_MS * SILENCE_FACTOR,
    polls: "off",
    pollsAt: NEVER,
    askedAt: -NEVER,
    shortUntil: -NEVER,
    failures: 0,
    failure: {},
    ...given,
  });
}

/**
 * What a page is told. @param {Machine} machine @returns {State}
 */
export function stateOf({ mode, stream, seamless, polls, failure, failures, online, met }) {
  if (mode === "closed") return "closed";
  if (stream === "live" || seamless) return "live";
  if (polls !== "off") return failure.refused ? "refused" : failures ? "offline" : "polling";
  if (!online) return "offline";
  return met ? "reconnecting" : "connecting";
}

/**
 * When the machine wants a `tick`; Infinity where it does not. @param {Machine} machine
 */
export function dueAt({ letGoAt, streamAt, pollsAt }) {
  return Math.min(letGoAt, streamAt, pollsAt);
}
