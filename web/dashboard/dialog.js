/** Questions that are asked before something is done. */
import { h } from "./dom.js";
import { t } from "./language.js";

/**
 * @param {{ title: string, text: string, yes: string, harmful?: boolean }} question
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, yes, harmful = false }) {
  const agree = h("button", { value: "yes", class: harmful ? "primary harmful" : "primary" }, yes);
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "question-title", "aria-describedby": "question-text" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "question-title" }, title),
      h("p", { id: "question-text" }, text),
      h("div", { class: "choices" }, h("button", { value: "" }, t("confirmCancel")), agree),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  agree.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
