/** The form that takes a token. */
import { h, hide } from "./dom.js";
import { t } from "./language.js";

export class SignIn {
  element;
  #session;
  #announce;
  #token;
  #error;
  #busy = false;
  /** A token was accepted, and whether it allows this page is not known yet. */
  #trying = false;
  /** Why the hub refused the page before a token was given. */
  #reason = "";

  /**
   * @param {import("./session.js").Session} session
   * @param {(text: string) => void} announce
   */
  constructor(session, announce) {
    this.#session = session;
    this.#announce = announce;
    this.#token = h("input", {
      id: "token",
      type: "password",
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      enterkeyhint: "go",
      "aria-describedby": "token-error token-hint",
    });
    this.#error = h("p", { class: "complaint", id: "token-error", role: "alert" });
    this.element = h(
      "form",
      { class: "panel sign-in", id: "sign-in", "aria-labelledby": "sign-in-heading", hidden: true },
      h("h2", { id: "sign-in-heading" }, t("signIn")),
      h("p", { id: "token-hint" }, t("signInHint"), " ", h("code", {}, "statushub token --read '**'"), "."),
      h("label", { for: "token" }, t("token")),
      h("div", { class: "entry" }, this.#token, h("button", { class: "primary" }, t("signIn"))),
      this.#error,
    );
    this.element.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  get shown() {
    return !this.element.hidden;
  }

  /**
   * @param {string} reason  why the hub refuses this page
   */
  show(reason) {
    // A reason that is repeated is not about the token.
    if (this.#trying && reason !== this.#reason) this.#complain(reason);
    this.#reason = reason;
    if (this.shown) return;
    hide(this.element, false);
    this.#announce(t("signInAnnounced", { reason }));
    // The focus is not taken from another field.
    const active = document.activeElement;
    if (!active || active === document.body || active.id === "connection") this.#token.focus();
  }

  /** The hub accepts this page's credentials. */
  accept() {
    this.#trying = false;
    if (!this.shown) return;
    const focused = this.element.contains(document.activeElement);
    hide(this.element, true);
    this.element.reset();
    this.#complain("");
    if (focused) document.getElementById("connection")?.focus();
  }

  async #submit() {
    const token = this.#token.value.trim();
    if (!token) return this.#complain(t("pasteToken"));
    if (this.#busy) return;
    this.#busy = true;
    this.#trying = true;
    const complaint = await this.#session.signIn(token);
    this.#busy = false;
    if (complaint) this.#complain(complaint);
  }

  /** @param {string} message */
  #complain(message) {
    this.#trying &&= !message;
    this.#error.textContent = message;
    if (!message) return this.#token.removeAttribute("aria-invalid");
    this.#token.setAttribute("aria-invalid", "true");
    this.#token.focus();
    this.#token.select();
  }
}
