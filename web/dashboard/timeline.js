/** The steps of a content as a time line: the producer's own where it says them, else those that the page has seen. */
import { h, say } from "./dom.js";
import { exact } from "./durations.js";
import { clockTime, t } from "./language.js";
import { stepsOf } from "./status.js";

export class Timeline {
  #list = h("ol", { class: "timeline", role: "list" });
  #seen = h("span", { class: "aside" });
  #shown = "";

  element = h(
    "section",
    { class: "panel", id: "steps", hidden: true },
    h("h2", {}, t("steps"), " ", this.#seen),
    this.#list,
  );

  /**
   * @param {Record<string, any>} data
   * @param {import("./history.js").Past} past
   * @param {number} now  Unix milliseconds
   * @param {string} phase  of the content
   */
  show(data, past, now, phase) {
    const over = phase === "completed" || phase === "failed";
    const said = stepsOf(data);
    const steps = said.length
      ? said
      : past.steps.map((step, number) => ({
          ...step,
          // It failed in the last one.
          state: step.ended === null ? "processing" : number === past.steps.length - 1 && over ? phase : "completed",
          detail: "",
          progress: null,
        }));
    this.element.hidden = !steps.length;
    if (!steps.length) return;
    say(this.#seen, said.length ? "" : t("stepsSeen"));
    // Drawn again only where something differs: a line that is read must not vanish under the eyes.
    const key = JSON.stringify([steps, over]);
    const running = steps.some(({ began, ended }) => began !== null && ended === null) && !over;
    if (key === this.#shown && !running) return;
    this.#shown = key;
    const times = steps.flatMap(({ began, ended }) => [began, ended]).filter((time) => time !== null);
    const first = Math.min(...times);
    const last = over ? Math.max(...times) : Math.max(now, ...times);
    this.#list.replaceChildren(...steps.map((step) => line(step, { first, last, now, over })));
  }
}

/**
 * @param {Omit<import("./status.js").Step, "state"> & { state: string }} step
 * @param {{ first: number, last: number, now: number, over: boolean }} times
 */
function line({ name, state, began, ended, detail, progress }, { first, last, now, over }) {
  const until = ended ?? (over || began === null ? null : now);
  const span = Math.max(last - first, 1);
  const bar = h("span", { class: "span" });
  if (began !== null) {
    bar.style.setProperty("--from", (began - first) / span);
    bar.style.setProperty("--length", Math.max(((until ?? began) - began) / span, 0));
  } else bar.hidden = true;
  const phase = state || (ended !== null ? "completed" : began !== null ? "processing" : "pending");
  const took = began !== null && until !== null ? exact(until - began) : "";
  const more = detail || (progress !== null && phase === "processing" ? `${Math.floor(progress)}%` : "");
  return h(
    "li",
    { "data-phase": phase, "aria-current": phase === "processing" && !over ? "step" : null },
    h("span", { class: "step-name", dir: "auto" }, name || "–"),
    h("span", { class: "step-track", "aria-hidden": "true" }, bar),
    h("span", { class: "step-detail" }, more),
    h("span", { class: "step-time", title: began !== null ? clockTime(began) : null }, took || t(`badge_${phase}`)),
  );
}
