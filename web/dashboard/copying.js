/** Buttons that copy a text. */
import { h } from "./dom.js";
import { t } from "./language.js";

/** How long a copy button confirms. */
const COPIED_MS = 2_000;

/**
 * @param {string} label
 * @param {() => string} text
 * @param {() => Element | null} [source]  the element that shows it, which is selected where there is no clipboard
 */
export function copyButton(label, text, source = () => null) {
  const button = h("button", { type: "button", class: "copy" }, label);
  button.addEventListener("click", async () => {
    button.textContent = (await copied(text(), source())) ? t("copied") : t("selected");
    setTimeout(() => (button.textContent = label), COPIED_MS);
  });
  return button;
}

/**
 * Pages over plain HTTP have no clipboard; there the text is selected instead.
 * @param {string} text
 * @param {Element | null} source
 */
async function copied(text, source) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    if (source) getSelection()?.selectAllChildren(source);
    return false;
  }
}
