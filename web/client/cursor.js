/** Cursors, `<epoch>-<offset>`: epochs are ordered, and within one the offsets are. */

/** @param {string} cursor */
export function epochOf(cursor) {
  return cursor.slice(0, cursor.lastIndexOf("-"));
}

/** @param {string} cursor */
export function offsetOf(cursor) {
  return Number(cursor.slice(cursor.lastIndexOf("-") + 1));
}

/**
 * Negative where the first epoch is the earlier one: a shorter one is, and of the same length the one that sorts first.
 * @param {string} one
 * @param {string} other
 */
export function compareEpochs(one, other) {
  return one.length - other.length || (one < other ? -1 : Number(one > other));
}

/**
 * Negative where the first cursor is the earlier one.
 * @param {string} one
 * @param {string} other
 */
export function compareCursors(one, other) {
  return compareEpochs(epochOf(one), epochOf(other)) || offsetOf(one) - offsetOf(other);
}
