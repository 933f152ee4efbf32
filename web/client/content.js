/** One content as pages see it. */

/** The event types of the hub. `EventSource` delivers only types that have a listener; pages name others in `types`. */
export const TYPES = ["content_status_update", "encoding_progress", "processing_complete", "processing_error"];

/** The type of the last event of a content that was removed. */
export const REMOVED = "content_removed";

/** The type of an event that says only what changed in a content that grows. */
export const DELTA = "content_delta";

/** @typedef {"pending" | "processing" | "completed" | "failed" | "idle"} Phase */

/** The phase of each status of every vocabulary; of all others it is processing. A Map, since `status` may be any word,
 * such as "constructor". */
const PHASES = new Map(
  /** @type {[string, Phase][]} */ ([
    ["idle", "idle"],
    ["complete", "completed"],
    ["error", "failed"],
    ["PENDING", "pending"],
    ["READY", "completed"],
    ["FAILED", "failed"],
    ["pending", "pending"],
    ["completed", "completed"],
    ["failed", "failed"],
  ]),
);

/**
 * Immutable; each state is a new object.
 * @typedef {Readonly<Fields>} Content
 *
 * @typedef {object} Fields
 * @property {string} channel
 * @property {string} id       its content_id
 * @property {string} type     of the event that it came with
 * @property {string} cursor   of that event
 * @property {Readonly<Record<string, any>>} data  the whole state as the hub sends it
 * @property {Phase} phase
 * @property {boolean} ended   whether it is completed or failed
 */

/**
 * @param {string} cursor
 * @param {string} type
 * @param {Record<string, any>} data
 * @returns {Content}
 */
export function contentOf(cursor, type, data) {
  const phase = phaseOf(data);
  const ended = phase === "completed" || phase === "failed";
  return Object.freeze({ channel: data.channel_id, id: data.content_id, type, cursor, data, phase, ended });
}

/**
 * @param {Record<string, any>} data
 * @returns {Phase}
 */
function phaseOf({ status, processing_status }) {
  const phase = PHASES.get(status) ?? "processing";
  return phase === "idle" && processing_status === "pending" ? "pending" : phase;
}
