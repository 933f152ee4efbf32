/**
 * The way in and out, where the hub wants to know who asks. The token goes to the hub, which keeps it in a cookie
 * that no script can read; the page holds it no longer than that takes.
 */

/** A hub that takes longer is not answering. */
const ANSWER_MS = 20_000;

/** Remembers for this tab, from one channel to the next, that the hub wants tokens. It says nothing of the token. */
const WANTED = "statushub-tokens-wanted";

const NO_ANSWER = "The hub does not answer. Try again in a moment.";

const element = (id) => document.getElementById(id);

/** @fires SignIn#done  the hub has taken a token: what it refused is worth another try */
export class SignIn extends EventTarget {
  #form = element("sign-in");
  #token = element("token");
  #error = element("token-error");
  #out = element("sign-out");
  #connection = element("connection");
  #busy = false;
  /** A token was taken, and whether it is good for this channel is not known yet. */
  #trying = false;

  /** Whether the hub wants tokens, as far as this tab knows. */
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

  /** @param {string} reason  why the hub does not let this page in */
  show(reason) {
    this.wanted = true;
    remember();
    if (this.#trying) this.#complain(reason);
    if (!this.#form.hidden) return;
    this.#form.hidden = false;
    this.#out.hidden = true;
    element("announcer").textContent = `Sign in to go on. ${reason}`;
    // Whoever is busy somewhere else is not interrupted.
    if ([document.body, this.#connection].includes(document.activeElement)) this.#token.focus();
  }

  /** The hub lets this page in. */
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
    // What a header cannot hold is no token; escaped, it gets the hub's own answer.
    const complaint = await ask("POST", { Authorization: `Bearer ${encodeURIComponent(token)}` });
    this.#busy = false;
    this.#trying = !complaint;
    this.#complain(complaint);
    if (complaint) return;
    this.#form.reset();
    this.dispatchEvent(new Event("done"));
  }

  /** Loaded again, the page has nothing left of what it showed. */
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

/** @returns {Promise<string>} what is wrong, in the hub's words where it has any; empty where nothing is */
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

/** Where nothing may be stored, cookies included, there is no session to sign out of either. */
function remember() {
  try {
    sessionStorage.setItem(WANTED, "yes");
  } catch {}
}
