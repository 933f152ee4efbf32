/**
 * Sign-in and sign-out, where the hub requires a token. The hub sets the token as a cookie that no script can read; the
 * page does not keep it.
 */

/** Deadline for an answer. */
const ANSWER_MS = 20_000;

/** Remembers for this tab, across channels, that the hub requires tokens. It does not hold the token. */
const WANTED = "statushub-tokens-wanted";

const NO_ANSWER = "The hub does not answer. Try again in a moment.";

const element = (id) => document.getElementById(id);

/** @fires SignIn#done  the hub has accepted a token: refused requests may be retried */
export class SignIn extends EventTarget {
  #form = element("sign-in");
  #token = element("token");
  #error = element("token-error");
  #out = element("sign-out");
  #connection = element("connection");
  #busy = false;
  /** A token was accepted, and whether it allows this channel is not known yet. */
  #trying = false;

  /** Whether the hub requires tokens, as far as this tab knows. */
  wanted = remembered();

  constructor() {
    super();
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#out.addEventListener("click", () => this.#leave());
    this.#out.hidden = !this.wanted;
  }

  /** @param {string} reason  why the hub refuses this page */
  show(reason) {
    this.wanted = true;
    remember();
    if (this.#trying) this.#complain(reason);
    if (!this.#form.hidden) return;
    this.#form.hidden = false;
    this.#out.hidden = true;
    element("announcer").textContent = `Sign in to go on. ${reason}`;
    // The focus is not taken from another field.
    if ([document.body, this.#connection].includes(document.activeElement)) this.#token.focus();
  }

  /** The hub accepts this page's credentials. */
  hide() {
    this.#trying = false;
    this.#out.hidden = !this.wanted;
    if (this.#form.hidden) return;
    const focused = this.#form.contains(document.activeElement);
    this.#form.hidden = true;
    this.#form.reset();
    this.#complain("");
    if (focused) this.#connection.focus();
  }

  async #submit() {
    const token = this.#token.value.trim();
    if (!token) return this.#complain("Paste a token first.");
    if (this.#busy) return;
    this.#busy = true;
    // Escaped, so that text which a header cannot hold is refused by the hub, with its own message.
    const complaint = await ask("POST", { Authorization: `Bearer ${encodeURIComponent(token)}` });
    this.#busy = false;
    this.#trying = !complaint;
    this.#complain(complaint);
    if (complaint) return;
    this.#form.reset();
    this.dispatchEvent(new Event("done"));
  }

  /** The page is reloaded, so that nothing it showed remains. */
  async #leave() {
    const complaint = await ask("DELETE");
    if (complaint) this.#out.textContent = "Still signed in. Try again";
    else location.reload();
  }

  #complain(message) {
    this.#trying &&= !message;
    this.#error.textContent = message;
    if (!message) return this.#token.removeAttribute("aria-invalid");
    this.#token.setAttribute("aria-invalid", "true");
    this.#token.focus();
    this.#token.select();
  }
}

/** @returns {Promise<string>} what is wrong, by the hub's message where there is one; empty on success */
async function ask(method, headers = {}) {
  try {
    const answer = await fetch("api/session", { method, headers, signal: AbortSignal.timeout(ANSWER_MS) });
    return answer.ok ? "" : ((await answer.json()).error?.message ?? NO_ANSWER);
  } catch {
    return NO_ANSWER;
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(WANTED) !== null;
  } catch {
    return false;
  }
}

/** Where storage is blocked, so are cookies, and there is no session to sign out of. */
function remember() {
  try {
    sessionStorage.setItem(WANTED, "yes");
  } catch {}
}
