/** Durations in words. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** @param {number} milliseconds until the end @returns {string} such as "1:24 left"; "overdue" once it has passed */
export function left(milliseconds) {
  const seconds = Math.ceil(milliseconds / 1000);
  if (seconds <= 0) return "overdue";
  if (seconds >= DAY) return `${Math.round(seconds / HOUR)} h left`;
  if (seconds >= HOUR) return `${Math.floor(seconds / HOUR)} h ${Math.floor((seconds % HOUR) / MINUTE)} min left`;
  return `${Math.floor(seconds / MINUTE)}:${String(seconds % MINUTE).padStart(2, "0")} left`;
}

/** @param {number} milliseconds since then @returns {string} such as "3 min ago" */
export function ago(milliseconds) {
  return milliseconds < 2_000 ? "just now" : `${rounded(milliseconds)} ago`;
}

/** @param {number} milliseconds @returns {string} such as "3 min" */
export function rounded(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < MINUTE) return `${seconds} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h`;
  return `${Math.floor(seconds / DAY)} d`;
}
