/** `<status-progress content-id channel label>`: a bar. */
import { StatusElement } from "./element.js";
import { Bar, titleOf } from "./shown.js";

export class StatusProgress extends StatusElement {
  /** @override */
  static observedAttributes = [...StatusElement.observedAttributes, "label"];
  #bar = /** @type {Bar | undefined} */ (undefined);

  /** @param {ShadowRoot} root @override */
  build(root) {
    this.#bar = new Bar();
    root.append(this.#bar.element);
  }

  /** @override */
  render() {
    const { content } = this;
    const title = content ? titleOf(content) : this.getAttribute("content-id");
    this.#bar?.show(content, this.getAttribute("label") ?? title ?? "");
  }
}
