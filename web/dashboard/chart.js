/** The progress of a content over time, and when it will be done. */
import { h, hide, say, svg } from "./dom.js";
import { left } from "./durations.js";
import { clockTime, t } from "./language.js";

/** The drawing's units. */
const WIDTH = 320;
const HEIGHT = 120;

export class Chart {
  #line = svg("polyline", { class: "line" });
  #area = svg("polygon", { class: "area" });
  #ahead = svg("line", { class: "ahead" });
  #dot = svg("circle", { class: "dot", r: 3.5 });
  #drawing = svg(
    "svg",
    { class: "chart", viewBox: `-4 -6 ${WIDTH + 8} ${HEIGHT + 12}`, role: "img", preserveAspectRatio: "none" },
    ...[0, 50, 100].map((percent) => svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: y(percent), y2: y(percent) })),
    this.#area,
    this.#line,
    this.#ahead,
    this.#dot,
  );
  #from = h("span", {});
  #left = h("span", { class: "chart-left" });
  #to = h("span", {});
  #waits = h("p", { class: "aside" }, t("chartWaits"));
  #shown = "";

  element = h(
    "section",
    { class: "panel", id: "chart", hidden: true },
    h("h2", {}, t("progress")),
    this.#drawing,
    h("p", { class: "chart-times" }, this.#from, this.#left, this.#to),
    this.#waits,
  );

  /**
   * @param {string} title  of the content
   * @param {[number, number][]} samples
   * @param {{ ends: number | null, now: number, over: boolean }} times  Unix milliseconds; `ends` is an estimate
   */
  show(title, samples, { ends, now, over }) {
    const shown = samples.length > (over ? 1 : 0);
    hide(this.element, !shown);
    if (!shown) return;
    const [began] = samples[0];
    const [at, progress] = samples[samples.length - 1];
    const until = over ? at : Math.max(now, at);
    const end = Math.max(until, !over && ends ? ends : 0, began + 1_000);
    say(this.#from, clockTime(began));
    say(this.#to, clockTime(end));
    say(this.#left, !over && ends ? left(ends - now) : "");
    hide(this.#waits, samples.length > 1 || over);
    const key = `${samples.length} ${at} ${progress} ${end} ${until}`;
    if (key === this.#shown) return;
    this.#shown = key;
    const x = (/** @type {number} */ time) => (((time - began) / (end - began)) * WIDTH).toFixed(1);
    const points = samples.map(([time, percent]) => `${x(time)},${y(percent)}`);
    // The progress holds until another one comes.
    if (until > at) points.push(`${x(until)},${y(progress)}`);
    this.#line.setAttribute("points", points.join(" "));
    this.#area.setAttribute("points", [`0,${HEIGHT}`, ...points, `${x(until)},${HEIGHT}`].join(" "));
    place(this.#dot, { cx: x(until), cy: y(progress) });
    const ahead = !over && ends !== null && ends > until;
    place(this.#ahead, {
      x1: x(until),
      y1: y(progress),
      x2: ahead ? x(ends) : x(until),
      y2: ahead ? y(100) : y(progress),
    });
    const said = { title, from: clockTime(began), to: clockTime(until), percent: `${Math.floor(progress)}%` };
    this.#drawing.setAttribute("aria-label", t("chartOf", said));
  }
}

/** @param {number} percent */
function y(percent) {
  return HEIGHT - (percent / 100) * HEIGHT;
}

/** @param {Element} element @param {Record<string, any>} attributes */
function place(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}
