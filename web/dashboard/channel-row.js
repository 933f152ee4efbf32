/** One channel in the overview: its name, its counts by state, and when something last happened in it. */
import { addressOf } from "./address.js";
import { h, mark, say } from "./dom.js";
import { ago } from "./durations.js";
import { count, t } from "./language.js";

/** @type {import("./status.js").Phase[]} */
const COUNTED = ["processing", "pending", "failed", "completed", "idle"];

export class ChannelRow {
  #clock;
  #name = h("a", { class: "title", dir: "auto" });
  #counts = new Map(COUNTED.map((phase) => [phase, this.#count(phase)]));
  #share = h(
    "div",
    { class: "share", "aria-hidden": "true" },
    ...COUNTED.map((phase) => h("span", { "data-phase": phase })),
  );
  #updated = h("span", { class: "updated" });

  /** From the first `show` on. @type {import("./directory.js").Entry} */
  entry = /** @type {any} */ (null);

  element = h(
    "li",
    { class: "channel-row" },
    h("div", { class: "naming" }, this.#name, this.#share),
    h("div", { class: "counts" }, ...[...this.#counts.values()].map(({ element }) => element)),
    h("div", { class: "times" }, this.#updated),
  );

  /** @param {import("./clock.js").HubClock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  focus() {
    this.#name.focus({ preventScroll: true });
  }

  /** @param {import("./directory.js").Entry} entry */
  show(entry) {
    this.entry = entry;
    mark(this.element, "data-channel", entry.channel);
    say(this.#name, entry.channel);
    mark(this.#name, "href", addressOf({ channel: entry.channel }));
    const total = COUNTED.reduce((sum, phase) => sum + entry[phase], 0);
    for (const [number, [phase, { element, value }]] of [...this.#counts].entries()) {
      say(value, count(entry[phase]));
      element.toggleAttribute("data-none", entry[phase] === 0);
      this.#share.children[number].style.setProperty("--share", total ? entry[phase] / total : 0);
    }
    this.tick();
  }

  tick() {
    say(this.#updated, ago(Math.max(this.#clock.now() - Date.parse(this.entry.updated_at), 0)));
  }

  /** @param {import("./status.js").Phase} phase */
  #count(phase) {
    const value = h("span", { class: "number" });
    return {
      value,
      element: h("span", { class: "count", "data-phase": phase }, value, " ", h("span", { class: "unit" }, t(phase))),
    };
  }
}
