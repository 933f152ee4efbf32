/** The connection's state, in an operator's words. */
import { h, mark, say } from "./dom.js";
import { clockTime, t } from "./language.js";

/** States in which what the page shows may not be true any more. */
const STALE = new Set(["offline", "refused", "closed", "invalid"]);

export class Connection {
  #label = h("p", { class: "connection-label", id: "connection-label" });
  #meaning = h("p", { class: "connection-meaning", id: "connection-meaning" });
  element = h("div", { class: "connection", id: "connection", tabindex: "-1" }, this.#label, this.#meaning);
  #clock;
  #heard = 0;

  /** @param {import("./clock.js").HubClock} clock */
  constructor(clock) {
    this.#clock = clock;
    this.show("connecting");
  }

  /**
   * @param {string} state
   * @param {string | null} [reason]  the hub's words, or the network's
   * @param {boolean} [known]  whether the page has anything to show
   */
  show(state, reason = null, known = false) {
    const stale = STALE.has(state);
    if (known && (state === "live" || state === "polling")) this.#heard = this.#clock.now();
    // While the page polls, its answers say that the hub is heard of.
    if (state === "live") this.#clock.run(true);
    else if (stale || state === "reconnecting") this.#clock.run(false);
    mark(this.element, "data-state", state);
    mark(document.body, "data-connection", state);
    // Everything is dimmed alike: none of it is known to be so still.
    document.body.toggleAttribute("data-stale", stale);
    say(this.#label, t(state));
    const since = stale && this.#heard ? t("stale", { time: clockTime(this.#heard) }) : "";
    const meaning = reason || (state === "invalid" ? "" : t(`${state}Meaning`));
    say(this.#meaning, [meaning, since].filter(Boolean).join(" · "));
  }
}
