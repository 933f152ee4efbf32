/** The end of a text that grows. */

/** Fields of which pages show the end while they grow, in this order, where no delta has told which one does. */
const TEXTS = ["text", "summary", "answer", "output", "log"];

/** Longest end of a text that a row shows. */
const TAIL_CHARACTERS = 800;

/** Longest end of a text that a content's own page shows: a browser lays out as much within a frame. */
const WHOLE_CHARACTERS = 200_000;

/** Most items of a list of texts of which the end is made. */
const TAIL_LINES = 20;
const WHOLE_LINES = 5_000;

/**
 * The end of the text, or of the list of texts, that a state grows by; empty where it has none.
 * @param {Record<string, any>} data
 * @param {string} field  the one that was seen to grow, or empty
 */
export function tailOf(data, field) {
  return endOf(data, field, TAIL_LINES, TAIL_CHARACTERS);
}

/**
 * The text that a state grows by, or has grown by, whole where it is not huge.
 * @param {Record<string, any>} data
 * @param {string} field
 */
export function textOf(data, field) {
  return endOf(data, field, WHOLE_LINES, WHOLE_CHARACTERS);
}

/** The field that a delta appends to, a text before a list; empty where it is neither. */
export function growingField({ append = {} } = {}) {
  const fields = Object.entries(append);
  const text = fields.find(([, addition]) => typeof addition === "string");
  return (text ?? fields.find(([, addition]) => Array.isArray(addition)))?.[0] ?? "";
}

/**
 * @param {Record<string, any>} data
 * @param {string} field
 * @param {number} lines
 * @param {number} characters
 */
function endOf(data, field, lines, characters) {
  // An ending may have what has grown as a part of its result.
  const sources = [data, Object(data.ai_gen_metadata)];
  for (const name of [field, ...TEXTS]) {
    for (const source of sources) {
      const value = Object.hasOwn(source, name) ? source[name] : "";
      const text = Array.isArray(value) ? value.slice(-lines).map(lineOf).filter(Boolean).join("\n") : value;
      if (typeof text === "string" && text.trim()) return shortened(text, characters);
    }
  }
  return "";
}

/** Logs have texts, or objects with a message. @param {any} item */
function lineOf(item) {
  const text = typeof item === "object" ? item?.message : item;
  return typeof text === "string" ? text : "";
}

/** @param {string} text @param {number} characters */
function shortened(text, characters) {
  if (text.length <= characters) return text;
  // Not from the middle of a character.
  return `…${text.slice(-characters).replace(/^[\udc00-\udfff]/, "")}`;
}
