/** What an operator looks at first: how much runs, what has failed, how fast it goes, and whether all is well. */
import { h, hide, mark, say, svg } from "./dom.js";
import { exact } from "./durations.js";
import { count, decimal, t } from "./language.js";

const SPARK = { width: 120, height: 28 };

export class Tiles {
  #tiles = new Map();
  #spark = svg("polyline", { class: "spark-line" });

  element = h(
    "dl",
    { class: "tiles" },
    this.#tile("processing", t("processing"), "processing"),
    this.#tile("pending", t("pending"), "pending"),
    this.#tile("failed", t("failedTile"), "failed"),
    this.#tile("completed", t("completed"), "completed"),
    this.#tile("rate", t("eventRate"), "", t("eventRateMeaning")),
    this.#tile("lag", t("lag"), "", t("lagMeaning")),
    this.#tile("broker", t("broker"), "", t("brokerMeaning")),
  );

  constructor() {
    const { element } = this.#tiles.get("rate");
    const drawing = svg(
      "svg",
      {
        class: "spark",
        viewBox: `0 0 ${SPARK.width} ${SPARK.height}`,
        preserveAspectRatio: "none",
        "aria-hidden": "true",
      },
      this.#spark,
    );
    element.querySelector("dd").append(drawing);
  }

  /**
   * @param {{ totals: Record<string, number>, failedLately: number, ready: boolean }} counted
   * @param {import("./pulse.js").Pulse} pulse
   * @param {import("./broker.js").Broker} broker
   */
  show({ totals, failedLately, ready }, pulse, broker) {
    for (const phase of ["processing", "pending", "completed"])
      this.#say(phase, ready ? count(totals[phase]) : "–", !totals[phase]);
    this.#say("failed", ready ? count(failedLately) : "–", !failedLately);
    this.#say("rate", decimal(pulse.rate), pulse.rate === 0);
    this.#say("lag", pulse.lag === null ? "–" : exact(pulse.lag), pulse.lag === null);
    const states = { ready: "brokerReady", away: "brokerAway", unknown: "brokerUnknown" };
    this.#say("broker", t(states[broker.state]), false);
    mark(this.#tiles.get("broker").element, "data-broker", broker.state);
    say(this.#tiles.get("broker").meaning, broker.said || t("brokerMeaning"));
    const { counts } = pulse;
    const most = Math.max(...counts, 1);
    const step = SPARK.width / (counts.length - 1);
    const points = counts.map(
      (n, second) => `${(second * step).toFixed(1)},${(SPARK.height - (n / most) * (SPARK.height - 2) - 1).toFixed(1)}`,
    );
    mark(this.#spark, "points", points.join(" "));
  }

  /**
   * @param {string} name
   * @param {string} text
   * @param {boolean} none
   */
  #say(name, text, none) {
    const { value } = this.#tiles.get(name);
    say(value, text);
    value.toggleAttribute("data-none", none);
  }

  /**
   * @param {string} name
   * @param {string} label
   * @param {string | null} phase
   * @param {string} [meaning]
   */
  #tile(name, label, phase, meaning = "") {
    const value = h("span", { class: "tile-value", id: `tile-${name}` });
    const said = h("span", { class: "tile-meaning" }, meaning);
    hide(said, !meaning);
    const element = h(
      "div",
      { class: "tile", "data-phase": phase || null },
      h("dt", {}, label),
      h("dd", {}, value, said),
    );
    this.#tiles.set(name, { element, value, meaning: said });
    return element;
  }
}
