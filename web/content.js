/** A status in the form that a row shows. Its names, texts and URLs are untrusted. */
import { tailOf } from "./growth.js";
import { addressOf } from "./results.js";

/** The phase of each status of every vocabulary. A Map, since `status` may be any word, such as "constructor". */
const PHASES = new Map([
  ["idle", "idle"],
  ["generating", "processing"],
  ["complete", "completed"],
  ["error", "failed"],
  ["PENDING", "pending"],
  ["PROCESSING", "processing"],
  ["READY", "completed"],
  ["FAILED", "failed"],
  ["pending", "pending"],
  ["processing", "processing"],
  ["completed", "completed"],
  ["failed", "failed"],
]);

/** The fields that may say why a content failed, in order of precedence. */
const ERROR_TEXTS = ["error_message", "error", "error_reason"];

/** Longest text that is shown: a stack trace belongs into a log. */
const TEXT_CHARACTERS = 600;

/**
 * @typedef {"pending" | "processing" | "completed" | "failed" | "idle"} Phase
 * @typedef {object} Content
 * @property {string} id
 * @property {string} title
 * @property {Phase} phase
 * @property {number | null} progress   0 to 100
 * @property {string} step
 * @property {number | null} ends       Unix milliseconds
 * @property {number | null} arrived    milliseconds of `performance.now()`; null where it was there before the page
 * @property {number} updated           Unix milliseconds of the hub's or the producer's clock
 * @property {string} error
 * @property {string} cancel            who asked for it to be cancelled, and why; empty where nothing did
 * @property {string} growing           the end of the text that grows; empty where none does
 * @property {{ text: string, address: string | null } | null} result
 * @property {string | null} thumbnail  a URL of this origin
 */

/**
 * @param {Record<string, any>} data
 * @param {boolean} live  whether it happens now, rather than before the page was opened
 * @param {import("./clock.js").HubClock} clock
 * @param {string} field  the field that was seen to grow, or empty
 * @returns {Content}
 */
export function describe(data, live, clock, field) {
  const now = clock.now();
  // A producer's clock may be wrong, too.
  const updated = live ? now : Date.parse(data.timestamp) || now;
  const phase = phaseOf(data);
  return {
    id: data.content_id,
    title: firstText(data.title, data.name, data.filename) || data.content_id,
    phase,
    progress: progressOf(data, phase),
    step: phase === "processing" ? stepOf(data) : "",
    ends: phase === "processing" ? endOf(data, updated) : null,
    arrived: live ? performance.now() : null,
    updated,
    error: phase === "failed" ? cut(firstText(...ERROR_TEXTS.map((name) => data[name]))) : "",
    cancel: phase === "processing" || phase === "pending" ? cancelOf(data.cancel_requested) : "",
    growing: phase === "processing" ? tailOf(data, field) : "",
    result: phase === "completed" ? resultOf(data) : null,
    thumbnail: pictureOf(firstText(data.thumbnail_url, data.thumbnail, data.poster)),
  };
}

function phaseOf(data) {
  const phase = PHASES.get(data.status) ?? "processing";
  return phase === "idle" && data.processing_status === "pending" ? "pending" : phase;
}

function progressOf(data, phase) {
  if (phase === "completed") return 100;
  return typeof data.progress === "number" ? Math.min(Math.max(data.progress, 0), 100) : null;
}

function stepOf(data) {
  const word = firstText(data.step, data.current_step, data.processing_status, data.message).replaceAll("_", " ");
  // Of the hub's own words, the one that begins with an abbreviation.
  const name = word.replace(/^qa\b/, "Q&A");
  const number = firstNumber(data.step_index, data.step_number, data.step);
  const total = firstNumber(data.total_steps, data.steps);
  const place = number === null ? "" : total === null ? `step ${number}` : `step ${number} of ${total}`;
  return capitalised(cut([name, place].filter(Boolean).join(" · ")));
}

function endOf(data, updated) {
  if (typeof data.remaining_seconds === "number") return updated + data.remaining_seconds * 1000;
  return Date.parse(data.estimated_completion) || null;
}

function cancelOf(request) {
  if (!request || typeof request !== "object") return "";
  const by = firstText(request.by);
  const reason = firstText(request.reason);
  return cut(`Cancel requested${by && ` by ${by}`}${reason && `: ${reason}`}`);
}

function resultOf(data) {
  const text = firstText(data.result_url, data.hls_path);
  return text ? { text: cut(text), address: addressOf(text) } : null;
}

/** Only this origin's: pictures load without a click, so a foreign server would learn who watches what. */
function pictureOf(text) {
  if (!text) return null;
  const address = text.startsWith("/") ? new URL(text, document.baseURI).href : addressOf(text);
  return address && new URL(address).origin === location.origin ? address : null;
}

function firstText(...values) {
  return values.find((value) => typeof value === "string" && value.trim()) ?? "";
}

function firstNumber(...values) {
  return values.find((value) => Number.isFinite(value)) ?? null;
}

function cut(text) {
  return text.length > TEXT_CHARACTERS ? `${text.slice(0, TEXT_CHARACTERS)}…` : text;
}

function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
