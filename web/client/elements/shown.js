/** What elements show of a content: its name, its phase, how far it is and what went wrong. All of it is untrusted. */
import { errorOf, progressOf } from "../summary.js";
import { made, write } from "./element.js";
import { words } from "./words.js";

/** @typedef {import("../index.js").Content} Content */

/** Longest text that is shown: a stack trace belongs into a log. */
const TEXT_CHARACTERS = 600;

/** The fields that say what happens now, in order of precedence. */
const STEPS = ["step", "current_step", "processing_status", "message"];

/** @param {Content} content */
export function titleOf({ id, data }) {
  return cut([data.title, data.name, data.filename].find(isText) ?? id);
}

/**
 * Why it failed; empty where it did not.
 * @param {Content} content
 */
export function failureOf({ phase, data }) {
  return phase === "failed" ? cut(errorOf(data) ?? "") : "";
}

/** The phase of a content, as a word. */
export class Badge {
  element;

  /** @param {Record<string, string>} [attributes] */
  constructor(attributes) {
    this.element = made("span", "badge", attributes);
  }

  /**
   * @param {string} kind  a phase, or another word that its style may depend on
   * @param {string} text
   */
  show(kind, text) {
    const parts = kind ? `badge badge-${kind}` : "badge";
    if (this.element.getAttribute("part") !== parts) this.element.setAttribute("part", parts);
    this.element.dataset.kind = kind;
    write(this.element, text);
  }
}

/** How far a content is. */
export class Bar {
  element = made("div", "bar", { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" });
  #fill = made("div", "fill");

  constructor() {
    this.element.append(this.#fill);
  }

  /**
   * @param {Content | undefined} content
   * @param {string} label
   */
  show(content, label) {
    const phase = content?.phase ?? "idle";
    const known = content ? progressOf(content.data) : null;
    const progress = phase === "completed" ? 100 : known;
    // What failed without having said how far it was is no longer under way.
    const moving = progress === null && phase === "processing";
    this.element.dataset.kind = moving ? "moving" : phase;
    this.#fill.style.inlineSize = moving ? "" : `${progress ?? 0}%`;
    this.#set("part", `bar bar-${phase}`);
    this.#set("aria-label", label);
    this.#set("aria-valuenow", moving ? null : String(Math.round(progress ?? 0)));
    this.#set("aria-valuetext", spoken(phase, progress, content));
  }

  /**
   * @param {string} name
   * @param {string | null} value
   */
  #set(name, value) {
    if (this.element.getAttribute(name) === value) return;
    if (value === null) this.element.removeAttribute(name);
    else this.element.setAttribute(name, value);
  }
}

/**
 * @param {Content["phase"]} phase
 * @param {number | null} progress
 * @param {Content | undefined} content
 */
function spoken(phase, progress, content) {
  if (phase !== "processing") return words[phase];
  const step = STEPS.map((name) => content?.data[name]).find(isText) ?? "";
  const percent = progress === null ? words.processing : `${Math.round(progress)}%`;
  return [percent, cut(step.replaceAll("_", " "))].filter(Boolean).join(", ");
}

/** @param {unknown} value */
function isText(value) {
  return typeof value === "string" && value.trim() !== "";
}

/** @param {string} text */
function cut(text) {
  return text.length > TEXT_CHARACTERS ? `${text.slice(0, TEXT_CHARACTERS)}…` : text;
}
