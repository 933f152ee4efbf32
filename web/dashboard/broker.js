/** Whether the broker answers, as the hub says. */

/** Between questions. */
const ASK_MS = 15_000;

/** Deadline for an answer. */
const ANSWER_MS = 10_000;

/** @fires Broker#change */
export class Broker extends EventTarget {
  #timer = 0;
  #closed = false;

  /** @type {"unknown" | "ready" | "away"} */
  state = "unknown";

  /** What its operator should change, or why it does not answer; in the hub's words. */
  said = "";

  constructor() {
    super();
    this.#ask();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #ask() {
    if (!document.hidden) [this.state, this.said] = await asked();
    if (this.#closed) return;
    this.dispatchEvent(new Event("change"));
    this.#timer = setTimeout(() => this.#ask(), ASK_MS);
  }
}

/** @returns {Promise<["unknown" | "ready" | "away", string]>} */
async function asked() {
  try {
    const answer = await fetch("readyz", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
    const body = await answer.json().catch(() => null);
    if (answer.ok) return ["ready", body?.warning ?? ""];
    return ["away", body?.error?.message ?? ""];
  } catch {
    return ["unknown", ""];
  }
}
