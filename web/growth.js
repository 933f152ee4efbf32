/** Contents that grow: a delta sets fields, and appends to texts and lists. */

/**
 * @param {Record<string, any>} data  the state that the delta builds on; it is not changed
 * @param {{ set?: Record<string, any>, append?: Record<string, any>, timestamp?: string }} said
 * @returns {Record<string, any>} the state that it makes
 */
export function grown(data, { set, append, timestamp }) {
  const state = { ...data, ...set };
  if (typeof timestamp === "string") state.timestamp = timestamp;
  const appended = Object.entries(append ?? {}).map(([name, addition]) => {
    return [name, joined(Object.hasOwn(state, name) ? state[name] : undefined, addition)];
  });
  return { ...state, ...Object.fromEntries(appended) };
}

/** A field that holds something else begins anew. */
function joined(before, addition) {
  if (typeof before === "string" && typeof addition === "string") return before + addition;
  if (Array.isArray(before) && Array.isArray(addition)) return [...before, ...addition];
  return addition;
}

/** Fields of which pages show the end while they grow, in this order, where no delta has told which one does. */
const TEXTS = ["text", "summary", "answer", "output", "log"];

/** Longest end of a text that is shown: some ten lines. */
const TAIL_CHARACTERS = 800;

/** The field that a delta appends to, a text before a list; empty where it is neither. */
export function growingField({ append }) {
  const fields = Object.entries(append);
  const text = fields.find(([, addition]) => typeof addition === "string");
  return (text ?? fields.find(([, addition]) => Array.isArray(addition)))?.[0] ?? "";
}

/**
 * The end of the text, or of the list of texts, that a state grows by; empty where it has none.
 * @param {Record<string, any>} data
 * @param {string} field  the one that was seen to grow, or empty
 */
export function tailOf(data, field) {
  for (const name of [field, ...TEXTS]) {
    const value = Object.hasOwn(data, name) ? data[name] : "";
    const text = Array.isArray(value) ? value.slice(-20).map(lineOf).filter(Boolean).join("\n") : value;
    if (typeof text === "string" && text.trim()) return tail(text);
  }
  return "";
}

/** Logs have texts, or objects with a message. */
function lineOf(item) {
  const text = typeof item === "object" ? item?.message : item;
  return typeof text === "string" ? text : "";
}

function tail(text) {
  if (text.length <= TAIL_CHARACTERS) return text;
  // Not from the middle of a character.
  return `…${text.slice(-TAIL_CHARACTERS).replace(/^[\udc00-\udfff]/, "")}`;
}
