/** `<status-list channel limit>`: the contents of a channel. A row stays where it is; new ones come first. */
import { StatusElement, made, write } from "./element.js";
import { Badge, Bar, failureOf, titleOf } from "./shown.js";
import { words } from "./words.js";

/** @typedef {import("../index.js").Content} Content */

/** More rows than a page is read for, and a browser lays out in a frame. `limit` says another number. */
const ROWS = 100;

/** Ends that are announced together, as a sentence that can be listened to. */
const ANNOUNCED_MAX = 3;

export class StatusList extends StatusElement {
  /** @override */
  static observedAttributes = [...StatusElement.observedAttributes, "limit", "label"];
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {readonly Content[]} */
  #shown = [];
  #state = made("p", "state", { role: "status" });
  #list = made("ul", "list", { role: "list" });
  #empty = made("p", "empty");
  #more = made("p", "more");
  #announcer = made("div", "announcer", { "aria-live": "polite" });

  /** @param {ShadowRoot} root @override */
  build(root) {
    const slot = document.createElement("slot");
    slot.name = "empty";
    slot.textContent = words.empty;
    this.#empty.append(slot);
    root.append(this.#state, this.#list, this.#empty, this.#more, this.#announcer);
  }

  /** @override */
  attach() {
    this.#shown = [];
    super.attach();
  }

  /** @override */
  render() {
    const { state, reason, ready } = this.lazy.view;
    const trouble = state === "offline" || state === "refused" ? [words[state], reason].filter(Boolean).join(": ") : "";
    write(this.#state, trouble);
    this.#list.setAttribute("aria-label", this.getAttribute("label") ?? this.channel);
    const contents = this.#contents();
    if (contents !== this.#shown) this.#show(contents, ready);
    this.#shown = contents;
    this.#empty.hidden = !ready || contents.length > 0;
  }

  #contents() {
    if (this.channel) return this.lazy.contents(this.channel);
    return this.lazy.view.hub?.contents() ?? [];
  }

  /**
   * @param {readonly Content[]} contents
   * @param {boolean} ready
   */
  #show(contents, ready) {
    const limit = Number(this.getAttribute("limit")) || ROWS;
    const wanted = contents.slice(0, limit);
    const ids = new Set(wanted.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    const ended = wanted.reverse().filter((content) => this.#showRow(content));
    write(this.#more, contents.length > limit ? words.more(contents.length - limit) : "");
    if (ready && ended.length) write(this.#announcer, ended.slice(-ANNOUNCED_MAX).map(announced).join(". "));
  }

  /**
   * @param {Content} content
   * @returns {boolean}  whether it has ended now
   */
  #showRow(content) {
    let row = this.#rows.get(content.id);
    if (!row) {
      this.#rows.set(content.id, (row = new Row()));
      this.#list.prepend(row.element);
    }
    return row.show(content);
  }
}

class Row {
  element = made("li", "item");
  #title = made("span", "title", { dir: "auto" });
  #badge = new Badge();
  #bar = new Bar();
  #error = made("p", "error", { dir: "auto" });
  /** @type {Content | undefined} */
  #content;

  constructor() {
    this.element.append(this.#title, this.#badge.element, this.#bar.element, this.#error);
  }

  /**
   * @param {Content} content
   * @returns {boolean}  whether it has ended now
   */
  show(content) {
    const before = this.#content;
    if (content === before) return false;
    this.#content = content;
    const { id, phase } = content;
    const title = titleOf(content);
    const failure = failureOf(content);
    this.element.dataset.content = id;
    this.element.setAttribute("part", `item item-${phase}`);
    write(this.#title, title);
    this.#badge.show(phase, words[phase]);
    this.#bar.show(content, title);
    write(this.#error, failure);
    this.#error.hidden = !failure;
    return before !== undefined && content.ended && !before.ended;
  }
}

/** @param {Content} content */
function announced(content) {
  return [titleOf(content), words[content.phase], failureOf(content)].filter(Boolean).join(": ");
}
