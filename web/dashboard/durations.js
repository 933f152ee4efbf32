/** Durations in words. */
import { t } from "./language.js";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** @param {number} milliseconds until the end @returns {string} such as "1:24 left"; "overdue" once it has passed */
export function left(milliseconds) {
  const seconds = Math.ceil(milliseconds / SECOND);
  if (seconds <= 0) return t("overdue");
  const rest = seconds * SECOND;
  if (rest >= DAY) return t("left", { time: t("hours", { n: Math.round(rest / HOUR) }) });
  if (rest >= HOUR) {
    const minutes = t("minutes", { n: Math.floor((rest % HOUR) / MINUTE) });
    return t("left", { time: `${t("hours", { n: Math.floor(rest / HOUR) })} ${minutes}` });
  }
  return t("left", { time: clock(rest) });
}

/** @param {number} milliseconds since then @returns {string} such as "3 min ago" */
export function ago(milliseconds) {
  return milliseconds < 2 * SECOND ? t("justNow") : t("ago", { time: rounded(milliseconds) });
}

/** @param {number} milliseconds @returns {string} such as "3 min" */
export function rounded(milliseconds) {
  if (milliseconds < MINUTE) return t("seconds", { n: Math.floor(milliseconds / SECOND) });
  if (milliseconds < HOUR) return t("minutes", { n: Math.floor(milliseconds / MINUTE) });
  if (milliseconds < DAY) return t("hours", { n: Math.floor(milliseconds / HOUR) });
  return t("days", { n: Math.floor(milliseconds / DAY) });
}

/** @param {number} milliseconds @returns {string} such as "0.4 s", "1:24" or "2 h 5 min" */
export function exact(milliseconds) {
  if (milliseconds < SECOND) return t("milliseconds", { n: Math.round(milliseconds) });
  if (milliseconds < MINUTE) return t("seconds", { n: Math.round(milliseconds / 100) / 10 });
  if (milliseconds < HOUR) return clock(milliseconds);
  const minutes = Math.floor((milliseconds % HOUR) / MINUTE);
  return `${t("hours", { n: Math.floor(milliseconds / HOUR) })} ${t("minutes", { n: minutes })}`;
}

/** @param {number} milliseconds */
function clock(milliseconds) {
  const seconds = Math.floor(milliseconds / SECOND);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
