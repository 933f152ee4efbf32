/** Short messages at the foot of the page, with an action where there is one. They are announced politely. */
import { h } from "./dom.js";

/** How long a message is read; one with an action stays until the action is void. */
const SHOWN_MS = 7_000;

export class Toasts {
  element = h("div", { class: "toasts", id: "toasts", role: "log", "aria-live": "polite" });

  /**
   * @param {string} text
   * @param {{ label: string, act: () => void }} [action]
   * @returns {() => void} takes it away
   */
  show(text, action) {
    const toast = h("div", { class: "toast" }, h("p", { dir: "auto" }, text));
    const away = () => {
      clearTimeout(timer);
      toast.remove();
    };
    if (action) {
      const act = () => {
        away();
        action.act();
      };
      toast.append(h("button", { type: "button", on: { click: act } }, action.label));
    }
    const timer = setTimeout(away, SHOWN_MS);
    this.element.append(toast);
    return away;
  }
}
