/** One content on the page. What producers sent is set as text, never as markup. */
import { ago, left } from "./durations.js";

const BADGES = {
  pending: "Waiting",
  processing: "Processing",
  completed: "Completed",
  failed: "Failed",
  idle: "Idle",
};

const PARTS = ["thumbnail", "title", "id", "badge", "percent", "bar", "error", "step", "result", "path", "left", "updated"];

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

  /** @param {import("./content.js").Content} content */
  show(content) {
    this.content = content;
    const { title, id, badge, error, step } = this.#parts;
    mark(this.element, "data-phase", content.phase);
    mark(this.element, "data-content", content.id);
    write(title, content.title);
    write(id, content.title === content.id ? "" : content.id);
    write(badge, BADGES[content.phase]);
    write(error, content.error);
    write(step, content.step);
    this.#showProgress(content);
    this.#showResult(content);
    this.tick(Date.now());
  }

  /** Updates the times, which change without events. */
  tick(now) {
    const { ends, updated, phase } = this.content;
    write(this.#parts.left, ends === null ? "" : left(ends - now));
    const running = phase === "processing" || phase === "pending";
    write(this.#parts.updated, `${running ? "updated " : ""}${ago(now - updated)}`);
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
