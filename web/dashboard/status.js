/** A status in the form that the page shows. Its names, texts and URLs are untrusted. */
import { t } from "./language.js";
import { addressOf, kindOf } from "./results.js";

/** The fields that may say why a content failed, in order of precedence. */
const ERROR_TEXTS = ["error_message", "error", "error_reason"];

/** Longest text of a row: a whole stack trace is on the content's own page. */
const TEXT_CHARACTERS = 600;

/** Most steps, and most renditions, that are shown of one status. */
const PARTS_MAX = 200;

/**
 * @typedef {"pending" | "processing" | "completed" | "failed" | "idle"} Phase
 * @typedef {{ name: string, state: Phase | "", began: number | null, ended: number | null, progress: number | null,
 *   detail: string }} Step  `began` and `ended` are Unix milliseconds
 */

/** @param {Record<string, any>} data */
export const titleOf = (data) => firstText(data.title, data.name, data.filename) || data.content_id || data.id || "";

/**
 * @param {Record<string, any>} data
 * @param {Phase} phase
 * @returns {number | null} 0 to 100
 */
export function progressOf(data, phase) {
  if (phase === "completed") return 100;
  return typeof data.progress === "number" ? Math.min(Math.max(data.progress, 0), 100) : null;
}

/**
 * The step's name and its number.
 * @param {Record<string, any>} data
 * @returns {string} such as "Transcoding · step 3 of 6"
 */
export function stepOf(data) {
  const name = stepName(data);
  const number = firstNumber(data.step_index, data.step_number, data.step);
  const total = firstNumber(data.total_steps, data.steps) ?? (Array.isArray(data.steps) ? data.steps.length : null);
  const place = number === null ? "" : total === null ? t("step", { number }) : t("stepOf", { number, total });
  return capitalised(cut([name, place].filter(Boolean).join(" · ")));
}

/** @param {Record<string, any>} data @returns {string} the step's name alone */
export function stepName(data) {
  const word = firstText(data.step, data.current_step, data.processing_status, data.message).replaceAll("_", " ");
  // Of the hub's own words, the one that begins with an abbreviation.
  return capitalised(cut(word.replace(/^qa\b/, "Q&A")));
}

/**
 * When the work will be done, as its producer says.
 * @param {Record<string, any>} data
 * @param {number} updated  Unix milliseconds
 * @returns {number | null} Unix milliseconds
 */
export function endOf(data, updated) {
  if (typeof data.remaining_seconds === "number") return updated + data.remaining_seconds * 1000;
  return momentOf(data.estimated_completion);
}

/** @param {Record<string, any>} data @returns {string} why it failed, whole */
export const errorOf = (data) => firstText(...ERROR_TEXTS.map((name) => data[name]));

/**
 * @param {Record<string, any>} data
 * @returns {string} who asked for it to be cancelled, and why; empty where nothing did
 */
export function cancelOf(data) {
  const request = data.cancel_requested;
  if (!request || typeof request !== "object") return "";
  return cut(t("cancelRequested", { by: firstText(request.by), reason: firstText(request.reason) }));
}

/**
 * @param {Record<string, any>} data
 * @returns {{ text: string, address: string | null, kind: import("./results.js").Kind } | null}
 */
export function resultOf(data) {
  const text = firstText(data.result_url, data.hls_path);
  if (!text) return null;
  const address = addressOf(text);
  return { text, address, kind: address ? kindOf(address) : "path" };
}

/**
 * Only this origin's: pictures load without a click, so a foreign server would learn who watches what.
 * @param {Record<string, any>} data
 */
export function pictureOf(data) {
  const text = firstText(data.thumbnail_url, data.thumbnail, data.poster);
  if (!text) return null;
  const address = text.startsWith("/") ? new URL(text, document.baseURI).href : addressOf(text);
  return address && new URL(address).origin === location.origin ? address : null;
}

/**
 * How much is done, and how fast.
 * @param {Record<string, any>} data
 * @returns {{ done: number | null, total: number | null, rate: number | null }}
 */
export function amountOf(data) {
  return {
    done: firstNumber(data.done, data.current),
    total: firstNumber(data.total),
    rate: firstNumber(data.rate),
  };
}

/**
 * The steps that the producer says itself, with their times.
 * @param {Record<string, any>} data
 * @returns {Step[]}
 */
export function stepsOf(data) {
  if (!Array.isArray(data.steps)) return [];
  return data.steps.slice(0, PARTS_MAX).map((/** @type {any} */ step) => {
    if (typeof step !== "object" || step === null) step = { name: String(step) };
    const counted = Number.isFinite(step.current) && Number.isFinite(step.total);
    const full = counted && step.total > 0 && step.current >= step.total;
    return {
      name: capitalised(cut(firstText(step.name, step.title, step.id).replaceAll("_", " "))),
      state: full ? "completed" : STATES.has(step.state) ? step.state : "",
      began: momentOf(step.started_at),
      ended: momentOf(step.ended_at),
      progress: firstNumber(step.progress),
      detail: counted ? `${step.current} / ${step.total}` : "",
    };
  });
}

const STATES = new Set(["pending", "processing", "completed", "failed"]);

/**
 * The sizes in which a video was made.
 * @param {Record<string, any>} data
 * @returns {{ name: string, size: string, bandwidth: number | null }[]}
 */
export function renditionsOf(data) {
  if (!Array.isArray(data.renditions)) return [];
  const named = data.renditions
    .slice(0, PARTS_MAX)
    .filter((/** @type {any} */ it) => typeof it === "object" && it !== null);
  return named.map((/** @type {Record<string, any>} */ { name, width, height, bandwidth }) => ({
    name: cut(firstText(name)),
    size: Number.isFinite(width) && Number.isFinite(height) ? `${width} × ${height}` : "",
    bandwidth: firstNumber(bandwidth),
  }));
}

/** @param {unknown} text @returns {number | null} Unix milliseconds */
export function momentOf(text) {
  return (typeof text === "string" && Date.parse(text)) || null;
}

/** @param {...any} values @returns {string} */
export function firstText(...values) {
  return values.find((value) => typeof value === "string" && value.trim()) ?? "";
}

/** @param {...any} values @returns {number | null} */
export function firstNumber(...values) {
  return values.find((value) => Number.isFinite(value)) ?? null;
}

/** @param {string} text */
export function cut(text) {
  return text.length > TEXT_CHARACTERS ? `${text.slice(0, TEXT_CHARACTERS)}…` : text;
}

/** @param {string} text */
function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
