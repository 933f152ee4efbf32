/** A channel in three lists, as `GET /api/contents/{channel}/status` answers it. */

/** @typedef {import("./index.js").Content} Content */

/**
 * @typedef {object} Line
 * @property {string} id
 * @property {"idle" | "generating" | "complete" | "error"} status
 * @property {string | null} processing_status
 * @property {number} [progress]                      of those that are processed
 * @property {string | null} [estimated_completion]   of those that are processed
 * @property {string | null} [error_message]          of those that failed
 *
 * @typedef {object} Summary
 * @property {Line[]} processing_contents  the pending ones, too
 * @property {Line[]} completed_contents
 * @property {Line[]} failed_contents
 * @property {boolean} has_processing
 * @property {number} total_processing
 * @property {number} total_completed
 * @property {number} total_failed
 * @property {string | null} next
 */

/** @type {Readonly<Record<Content["phase"], Line["status"]>>} */
const WORDS = { idle: "idle", pending: "idle", processing: "generating", completed: "complete", failed: "error" };

/** The fields that may say why a content failed, in order of precedence. */
const ERROR_TEXTS = ["error_message", "error", "error_reason"];

/**
 * @param {readonly Content[]} contents
 * @returns {Summary}
 */
export function summaryOf(contents) {
  const processing = contents.filter(({ phase }) => phase === "pending" || phase === "processing");
  const completed = contents.filter(({ phase }) => phase === "completed");
  const failed = contents.filter(({ phase }) => phase === "failed");
  return {
    processing_contents: processing.map((content) => ({
      ...lineOf(content),
      progress: progressOf(content.data) ?? 0,
      estimated_completion: endOf(content.data),
    })),
    completed_contents: completed.map(lineOf),
    failed_contents: failed.map((content) => ({ ...lineOf(content), error_message: errorOf(content.data) })),
    has_processing: processing.length > 0,
    total_processing: processing.length,
    total_completed: completed.length,
    total_failed: failed.length,
    next: null,
  };
}

/**
 * @param {Content} content
 * @returns {Line}
 */
function lineOf({ id, phase, data }) {
  return { id, status: WORDS[phase], processing_status: textOf(data.processing_status) };
}

/**
 * From 0 to 100; null where it is unknown.
 * @param {Record<string, any>} data
 */
export function progressOf({ progress }) {
  return typeof progress === "number" && progress >= 0 && progress <= 100 ? progress : null;
}

/**
 * Why it failed.
 * @param {Record<string, any>} data
 */
export function errorOf(data) {
  return ERROR_TEXTS.map((name) => textOf(data[name])).find(Boolean) ?? null;
}

/**
 * When it will be done (ISO 8601): as its producer says, else reckoned from what remains.
 * @param {Record<string, any>} data
 */
function endOf({ estimated_completion, timestamp, remaining_seconds }) {
  const said = textOf(estimated_completion);
  if (said !== null || typeof remaining_seconds !== "number" || remaining_seconds < 0) return said;
  const end = new Date(Date.parse(timestamp) + remaining_seconds * 1000);
  return Number.isNaN(end.getTime()) ? null : end.toISOString();
}

/** @param {unknown} value */
function textOf(value) {
  return typeof value === "string" && value ? value : null;
}
