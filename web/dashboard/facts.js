/** What is known of a content in short: when, how long, how much, how fast. */
import { h, say } from "./dom.js";
import { ago, exact, left, rounded } from "./durations.js";
import { count, dateTime, decimal, t } from "./language.js";
import { SILENT_MS } from "./row.js";
import { amountOf, endOf, firstNumber, firstText, momentOf, stepsOf } from "./status.js";

const UNITS = ["B", "KB", "MB", "GB", "TB"];

export class Facts {
  #list = h("dl", { class: "facts" });
  /** @type {Map<string, { element: Element, value: Element }>} */
  #shown = new Map();

  element = h("section", { class: "panel", id: "facts" }, this.#list);

  /**
   * @param {import("./board.js").Item} item
   * @param {import("./history.js").Past} past
   * @param {import("./clock.js").HubClock} clock
   */
  show(item, past, clock) {
    const facts = factsOf(item, past, clock);
    for (const [key, { element }] of this.#shown) {
      if (facts.some(([name]) => name === key)) continue;
      element.remove();
      this.#shown.delete(key);
    }
    for (const [key, text] of facts) say(this.#fact(key), text);
    this.#list.append(...facts.map(([key]) => this.#shown.get(key)?.element ?? ""));
  }

  /** @param {string} key */
  #fact(key) {
    let fact = this.#shown.get(key);
    if (!fact) {
      const value = h("dd", { dir: "auto" });
      fact = { value, element: h("div", { "data-fact": key }, h("dt", {}, t(key)), value) };
      this.#shown.set(key, fact);
    }
    return fact.value;
  }
}

/**
 * @param {import("./board.js").Item} item
 * @param {import("./history.js").Past} past
 * @param {import("./clock.js").HubClock} clock
 * @returns {[string, string][]}
 */
function factsOf({ data, phase, updated, arrived }, past, clock) {
  const now = clock.now();
  const over = phase === "completed" || phase === "failed";
  const silence = Math.max(now - (arrived === null ? updated : clock.at(arrived)), 0);
  const ends = phase === "processing" ? endOf(data, updated) : null;
  const { began, ended } = timesOf(data, past, over ? updated : null);
  const { done, total, rate } = amountOf(data);
  const silent = phase === "processing" && silence >= SILENT_MS;
  const took =
    typeof data.elapsed_seconds === "number" ? data.elapsed_seconds * 1000 : began && ended ? ended - began : null;
  const bytes = firstNumber(data.bytes);
  const width = firstNumber(data.width);
  const height = firstNumber(data.height);
  /** @type {[string, string][]} */
  const facts = [
    ["errorCode", phase === "failed" ? firstText(data.error_code) : ""],
    ["timeLeft", ends !== null && !silent ? left(ends - now) : ""],
    ["lastNews", silent ? t("noNews", { time: rounded(silence) }) : ago(silence)],
    ["started", began ? dateTime(began) : ""],
    ["endedAt", over && ended ? dateTime(ended) : ""],
    ["took", over && took !== null && took >= 0 ? exact(took) : ""],
    ["runningFor", phase === "processing" && began && now > began ? exact(now - began) : ""],
    ["done", done !== null ? (total !== null ? `${count(done)} / ${count(total)}` : count(done)) : ""],
    ["rate", rate !== null ? t("perSecond", { n: decimal(rate) }) : ""],
    ["duration", typeof data.duration === "number" ? exact(data.duration * 1000) : ""],
    ["size", bytes !== null ? sizeOf(bytes) : ""],
    ["picture", width !== null && height !== null ? `${width} × ${height}` : ""],
  ];
  return facts.filter(([, text]) => text !== "");
}

/**
 * As the producer says; else what its steps or the page have seen.
 * @param {Record<string, any>} data
 * @param {import("./history.js").Past} past
 * @param {number | null} updated
 */
function timesOf(data, past, updated) {
  const steps = stepsOf(data);
  const began = momentOf(data.started_at) ?? steps.find((step) => step.began)?.began ?? past.steps[0]?.began ?? null;
  const ended = momentOf(data.ended_at) ?? momentOf(data.completed_at) ?? updated;
  return { began, ended };
}

/** @param {number} bytes @returns {string} such as "3.4 MB" */
export function sizeOf(bytes) {
  let unit = 0;
  let amount = bytes;
  for (; amount >= 1000 && unit < UNITS.length - 1; unit += 1) amount /= 1000;
  return `${unit ? decimal(amount) : count(amount)} ${UNITS[unit]}`;
}
