/** The keys of every page. What has a meaning of its own in a field or on a button keeps it. */
import { h } from "./dom.js";
import { t } from "./language.js";

const HELP = [
  ["/", "key_search"],
  ["↑ ↓", "key_move"],
  ["Enter", "key_open"],
  ["x", "key_select"],
  ["Esc", "key_back"],
  ["?", "key_help"],
];

/**
 * What the page that is open does; all but `back` return whether they did, and `enter` is that key in the search.
 * @typedef {{ search: () => HTMLInputElement | null, move: (by: number) => boolean, enter: () => boolean,
 *   select: () => boolean, back: () => void }} Keys
 */

/** @param {Keys} page */
export function listen(page) {
  document.addEventListener("keydown", (event) => {
    if (
      event.defaultPrevented ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      document.querySelector("dialog[open]")
    )
      return;
    const field = event.target instanceof Element && event.target.closest("input, textarea, select, video, audio");
    if (acted(event, field, page)) event.preventDefault();
  });
}

/**
 * @param {KeyboardEvent} event
 * @param {any} field
 * @param {Keys} page
 * @returns {boolean}
 */
function acted({ key, target }, field, page) {
  const searching = field && field === page.search();
  switch (key) {
    case "/":
      if (field && field.type !== "checkbox") return false;
      page.search()?.focus();
      page.search()?.select();
      return Boolean(page.search());
    case "ArrowDown":
      return (!field || searching || field.type === "checkbox") && page.move(1);
    case "ArrowUp":
      return (!field || searching || field.type === "checkbox") && page.move(-1);
    case "Enter":
      return Boolean(searching) && page.enter();
    case "x":
      return !field && page.select();
    case "?":
      if (field && field.type !== "checkbox") return false;
      help();
      return true;
    case "Escape":
      return escape(target, field, searching, page);
  }
  return false;
}

/**
 * @param {any} target
 * @param {any} field
 * @param {boolean} searching
 * @param {Keys} page
 */
function escape(target, field, searching, page) {
  if (searching && field.value) {
    field.value = "";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  } else if (field) target.blur();
  else page.back();
  return true;
}

export function help() {
  const rows = HELP.map(([key, meaning]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(meaning))));
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "help-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "help-title" }, t("keys")),
      h("dl", { class: "keys" }, ...rows),
      h("div", { class: "choices" }, h("button", { class: "primary" }, t("close"))),
    ),
  );
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}
