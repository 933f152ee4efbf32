/** One content on the page. What producers sent is set as text, never as markup. */
import { ago, left, rounded } from "./durations.js";

/** Silence of a content in progress that is worth a word: many times the interval at which workers report. */
const SILENT_MS = 2 * 60_000;

const BADGES = {
  pending: "Waiting",
  processing: "Processing",
  completed: "Completed",
  failed: "Failed",
  idle: "Idle",
};

const PARTS = [
  ...["thumbnail", "title", "id", "badge", "percent", "bar", "error", "note", "growing", "tail"],
  ...["step", "cancel", "result", "path", "left", "updated"],
];

export class Row {
  /** @type {HTMLElement} */
  element;
  /** @type {import("./content.js").Content} */
  content;
  #parts = {};

  /** @param {HTMLTemplateElement} template */
  constructor(template) {
    this.element = template.content.firstElementChild.cloneNode(true);
    for (const part of PARTS) this.#parts[part] = this.element.querySelector(`.${part}`);
    this.#parts.thumbnail.addEventListener("error", ({ target }) => (target.hidden = true));
  }

  /**
   * @param {import("./content.js").Content} content
   * @param {import("./clock.js").HubClock} clock
   */
  show(content, clock) {
    this.content = content;
    const { title, id, badge, error, note, growing, tail, step, cancel } = this.#parts;
    mark(this.element, "data-phase", content.phase);
    mark(this.element, "data-content", content.id);
    write(title, content.title);
    write(id, content.title === content.id ? "" : content.id);
    write(badge, BADGES[content.phase]);
    write(error, content.error);
    write(step, content.step);
    write(note, content.cancel);
    write(tail, content.growing);
    hide(growing, content.growing === "");
    hide(cancel, content.phase !== "processing" || content.cancel !== "");
    mark(cancel, "aria-label", `Cancel ${content.title}`);
    this.#showProgress(content);
    this.#showResult(content);
    this.tick(clock);
  }

  /** Updates the times, which change without events. */
  tick(clock) {
    const { ends, arrived, updated, phase } = this.content;
    const now = clock.now();
    const silence = Math.max(now - (arrived === null ? updated : clock.at(arrived)), 0);
    write(this.#parts.left, ends === null ? "" : left(ends - now));
    mark(this.#parts.left, "data-overdue", ends !== null && ends <= now ? "" : null);
    if (phase === "processing" && silence >= SILENT_MS) write(this.#parts.updated, `no news for ${rounded(silence)}`);
    else write(this.#parts.updated, `${phase === "processing" || phase === "pending" ? "updated " : ""}${ago(silence)}`);
  }

  #showProgress({ phase, progress, title }) {
    const { bar, percent } = this.#parts;
    const known = progress !== null;
    hide(bar, phase === "completed" || phase === "idle" || (!known && phase !== "processing"));
    write(percent, known && !bar.hidden ? `${Math.floor(progress)}%` : "");
    if (bar.hidden) return;
    mark(bar, "aria-label", `Progress of ${title}`);
    mark(bar, "aria-valuenow", known ? `${Math.floor(progress)}` : null);
    bar.classList.toggle("unknown", !known);
    bar.style.setProperty("--progress", known ? progress / 100 : 0);
  }

  #showResult({ result, thumbnail, title }) {
    const { result: link, path, thumbnail: picture } = this.#parts;
    write(link, result?.address ? "Open result" : "");
    mark(link, "href", result?.address ?? null);
    mark(link, "title", result?.text ?? null);
    mark(link, "data-title", title);
    mark(link, "aria-label", `Open the result of ${title}`);
    write(path, result && !result.address ? result.text : "");
    if (picture.getAttribute("src") === thumbnail) return;
    mark(picture, "src", thumbnail);
    hide(picture, !thumbnail);
  }
}

/** Each of these changes the page only where something differs: setting the same value would restyle it. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
  hide(element, text === "");
}

function hide(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

function mark(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}
