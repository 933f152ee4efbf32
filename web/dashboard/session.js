/**
 * Who is signed in, in all tabs of this browser. The hub keeps the token in a cookie that no script can read; the page
 * does not keep it.
 */
import { t } from "./language.js";

/** Deadline for an answer. */
const ANSWER_MS = 20_000;

/** The channel over which tabs tell each other. */
const TABS = "statushub-session";

/**
 * @typedef {{ read: boolean, write: boolean, cancel: boolean }} Rights
 * @typedef {{ tenant: string, sub: string | null, required: boolean, expires_in: number | null, may: Rights | null }} Said
 * @typedef {{ status: number, said?: Said, reason: string }} Answer  `status` is 0 where there is none
 */

/** Where the hub has not said what is allowed, nothing is offered. */
export const NOTHING = { read: false, write: false, cancel: false };

/**
 * @fires Session#in   this tab or another one has signed in: refused requests may be retried
 * @fires Session#out  another tab has signed out
 */
export class Session extends EventTarget {
  #tabs = new BroadcastChannel(TABS);

  /** Whether the hub requires tokens, as far as it has said. */
  required = false;

  constructor() {
    super();
    this.#tabs.addEventListener("message", ({ data }) => this.dispatchEvent(new Event(data === "out" ? "out" : "in")));
  }

  /**
   * Asks the hub who is signed in, and what they may do in a channel.
   * @param {string} [channel]
   * @returns {Promise<Answer>} 401 where no token is signed in, 422 where no channel has such a name
   */
  async ask(channel = "") {
    const answer = await request("GET", channel && `?channel=${encodeURIComponent(channel)}`);
    if (answer.status === 401) this.required = true;
    if (answer.said) this.required = answer.said.required;
    return answer;
  }

  /**
   * @param {string} token
   * @returns {Promise<string>} what is wrong, by the hub's message where there is one; empty on success
   */
  async signIn(token) {
    // Escaped, so that text which a header cannot hold is refused by the hub, with its own message.
    const { status, reason } = await request("POST", "", { Authorization: `Bearer ${encodeURIComponent(token)}` });
    if (status !== 204) return reason;
    this.required = true;
    this.#tabs.postMessage("in");
    this.dispatchEvent(new Event("in"));
    return "";
  }

  /** @returns {Promise<string>} what is wrong; empty on success */
  async signOut() {
    const { status, reason } = await request("DELETE");
    if (status !== 204) return reason;
    this.#tabs.postMessage("out");
    return "";
  }
}

/**
 * @param {string} method
 * @param {string} [search]
 * @param {Record<string, string>} [headers]
 * @returns {Promise<Answer>}
 */
async function request(method, search = "", headers = {}) {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const answer = await fetch(`api/session${search}`, { method, headers, signal, cache: "no-store" });
    const body = answer.status === 204 ? null : await answer.json();
    const reason = answer.ok ? "" : (body?.error?.message ?? t("signInNoAnswer"));
    return { status: answer.status, said: answer.ok && body ? body : undefined, reason };
  } catch {
    return { status: 0, reason: t("signInNoAnswer") };
  }
}

/**
 * The token of a link that signs in, `#token=…`. It is taken out of the address immediately, so that neither the
 * history nor a bookmark keeps it; servers and their logs never see a fragment.
 * @returns {string} empty where there is none
 */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (token) history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}
