/** Contents that grow: a delta sets fields, and appends to texts and lists. */

/** @typedef {Record<string, any>} Data */

/**
 * @typedef {object} Delta
 * @property {Data} [set]
 * @property {Data} [append]
 * @property {string} [timestamp]
 */

/**
 * @param {Data} data  the state that the delta builds on; it is not changed
 * @param {Delta} delta
 * @returns {Data} the state that it makes
 */
export function grown(data, { set, append, timestamp }) {
  /** @type {Data} */
  const state = { ...data, ...set, ...(timestamp && { timestamp }) };
  // What an object inherits is neither a text nor a list.
  const appended = Object.entries(append ?? {}).map(([name, addition]) => [name, joined(state[name], addition)]);
  // Not by assignment: a field may be called `__proto__`.
  return { ...state, ...Object.fromEntries(appended) };
}

/**
 * A field that holds something else begins anew.
 * @param {unknown} before
 * @param {unknown} addition
 */
function joined(before, addition) {
  if (typeof before === "string" && typeof addition === "string") return before + addition;
  if (Array.isArray(before) && Array.isArray(addition)) return [...before, ...addition];
  return addition;
}
