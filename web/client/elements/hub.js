/** `<status-hub url channels match ticket-url transport credentials>`: which hub the elements within it show. */
import { LazyHub } from "../lazy.js";
import { Element, StatusElement } from "./element.js";

/** @typedef {import("../index.js").Options} Options */

export class StatusHub extends Element {
  static observedAttributes = ["url", "channels", "match", "ticket-url", "transport", "credentials"];
  #lazy = new LazyHub();
  /** @type {Options} */
  #options = {};
  #unfollow = () => {};
  #changing = false;

  get lazy() {
    return this.#lazy;
  }

  /** Options of `connect` that an attribute cannot have, such as `token`; they come before the attributes. */
  get options() {
    return this.#options;
  }

  set options(options) {
    this.#options = options;
    if (this.isConnected) this.#change();
  }

  /** The hub's state, as `useHub` has it. */
  get view() {
    return this.#lazy.view;
  }

  connectedCallback() {
    // It is no box of its own.
    this.style.display ||= "contents";
    this.#open();
  }

  disconnectedCallback() {
    this.#unfollow();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.#change();
  }

  /** Once for attributes that change together. */
  #change() {
    if (this.#changing) return;
    this.#changing = true;
    queueMicrotask(() => {
      this.#changing = false;
      if (this.isConnected) this.#open();
    });
  }

  #open() {
    this.#unfollow();
    this.#lazy = new LazyHub({ ...this.#attributes(), ...this.#options });
    this.#unfollow = this.#lazy.follow([], () => this.dispatchEvent(new Event("statuschange")));
    for (const element of this.querySelectorAll("*")) if (element instanceof StatusElement) element.attach();
  }

  /** @returns {Options} */
  #attributes() {
    const url = this.getAttribute("url") ?? undefined;
    const match = this.getAttribute("match") ?? undefined;
    const channels = (this.getAttribute("channels") ?? "").split(",").map((name) => name.trim());
    const ticketUrl = this.getAttribute("ticket-url");
    const transport = /** @type {Options["transport"]} */ (this.getAttribute("transport") ?? undefined);
    return {
      url,
      match,
      transport,
      channels: channels.filter(Boolean),
      credentials: this.hasAttribute("credentials"),
      ...(ticketUrl !== null && { ticket: () => ticketFrom(ticketUrl) }),
    };
  }
}

/**
 * The page's backend answers with a ticket as text, or with the hub's own `{"ticket"}`.
 * @param {string} url
 */
async function ticketFrom(url) {
  const response = await fetch(url, { cache: "no-store" });
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  const text = await response.text();
  return text.startsWith("{") ? JSON.parse(text).ticket : text.trim();
}
