/** What the elements that show something have in common: a hub, a style, and rendering once a frame. */
import { LazyHub } from "../lazy.js";
import { STYLE } from "./style.js";

/** On a server there is no such class, and nothing is made of it. */
export const Element = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {});

/** Of elements that are in no `<status-hub>`: the hub that serves this module, or the page's origin. */
const pageHub = new LazyHub();

/** @type {CSSStyleSheet | undefined} */
let sheet;

export class StatusElement extends Element {
  static observedAttributes = ["channel", "content-id"];
  /** @type {LazyHub} */
  lazy = pageHub;
  #unfollow = () => {};

  connectedCallback() {
    if (!this.shadowRoot) {
      const root = this.attachShadow({ mode: "open" });
      if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
      this.build(root);
    }
    this.attach();
  }

  disconnectedCallback() {
    this.#unfollow();
  }

  attributeChangedCallback() {
    if (this.shadowRoot && this.isConnected) this.attach();
  }

  /** Also called by its `<status-hub>`, when that has another hub. */
  attach() {
    const before = this.#unfollow;
    this.lazy = hubOf(this);
    this.#unfollow = this.lazy.follow(this.channel ? [this.channel] : [], () => this.render());
    before();
    this.render();
  }

  /** The channel that it follows; empty where its hub names them. */
  get channel() {
    return this.getAttribute("channel") ?? "";
  }

  /** The content that it shows, once it is known. */
  get content() {
    const id = this.getAttribute("content-id");
    return id === null ? undefined : this.lazy.get(id, this.channel || undefined);
  }

  /** @param {ShadowRoot} root */
  build(root) {
    void root;
  }

  render() {}
}

/**
 * The hub of the nearest `<status-hub>`, also from within a shadow tree.
 * @param {HTMLElement} element
 * @returns {LazyHub}
 */
function hubOf(element) {
  /** @type {HTMLElement | null} */
  let node = element;
  while (node) {
    const hub = /** @type {(HTMLElement & { lazy?: LazyHub }) | null} */ (node.closest("status-hub"));
    if (hub?.lazy) return hub.lazy;
    const root = node.getRootNode();
    node = root instanceof ShadowRoot ? /** @type {HTMLElement} */ (root.host) : null;
  }
  return pageHub;
}

/**
 * @param {string} name
 * @param {string} part
 * @param {Record<string, string>} [attributes]
 */
export function made(name, part, attributes = {}) {
  const element = document.createElement(name);
  element.setAttribute("part", part);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

/**
 * @param {Node} node
 * @param {string} text
 */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
