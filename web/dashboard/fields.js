/** A whole status, as a table of its fields and as JSON. */
import { copyButton } from "./copying.js";
import { h, say } from "./dom.js";
import { dateTime, t } from "./language.js";

/** Longest value of the table; the JSON has all of it. */
const VALUE_CHARACTERS = 2_000;

/** Fields that are times, by their names. */
const TIME = /(_at|timestamp|_completion)$/;

export class Fields {
  #body = h("tbody", {});
  #json = h("code", {});
  #data = {};
  #written = "";

  element = h(
    "section",
    { class: "panel", id: "fields" },
    h(
      "div",
      { class: "panel-head" },
      h("h2", {}, t("fields")),
      copyButton(
        t("copyJson"),
        () => JSON.stringify(this.#data, null, 2),
        () => this.#json,
      ),
    ),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t("fields") },
      h(
        "table",
        { class: "fields" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("field")), h("th", { scope: "col" }, t("value")))),
        this.#body,
      ),
    ),
    h(
      "details",
      {},
      h("summary", {}, t("json")),
      h("pre", { class: "json", tabindex: "0", "aria-label": t("json") }, this.#json),
    ),
  );

  /** @param {Record<string, any>} data */
  show(data) {
    if (this.#data === data) return;
    this.#data = data;
    this.#draw(Object.entries(data));
    const details = this.element.querySelector("details");
    const write = () => {
      const text = JSON.stringify(this.#data, null, 2);
      if (details.open && text !== this.#written) say(this.#json, (this.#written = text));
    };
    details.ontoggle = write;
    write();
  }

  /**
   * Rows stay, so that a text can be selected while the status changes.
   * @param {[string, unknown][]} entries
   */
  #draw(entries) {
    while (this.#body.rows.length > entries.length) this.#body.deleteRow(-1);
    for (const [number, [name, value]] of entries.entries()) {
      const row =
        this.#body.rows[number] ??
        this.#body.appendChild(h("tr", {}, h("th", { scope: "row" }), h("td", { dir: "auto" })));
      say(row.cells[0], name);
      say(row.cells[1], textOf(name, value));
    }
  }
}

/** @param {string} name @param {unknown} value */
function textOf(name, value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") {
    const time = TIME.test(name) ? Date.parse(value) : NaN;
    return cut(Number.isNaN(time) ? value : `${dateTime(time)}  (${value})`);
  }
  return cut(typeof value === "object" ? JSON.stringify(value) : String(value));
}

/** @param {string} text */
function cut(text) {
  return text.length > VALUE_CHARACTERS ? `${text.slice(0, VALUE_CHARACTERS)}…` : text;
}
