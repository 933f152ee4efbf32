/** What operators ask of the hub: to cancel the work on contents, and to remove them. */
import { routeOf } from "./address.js";
import { t } from "./language.js";

/** Deadline for an answer. */
const ANSWER_MS = 10_000;

/** Most contents that one request to remove names; the hub's limit. */
const REMOVED_IDS = 100;

/** Requests to cancel that run at the same time. */
const PARALLEL = 4;

/** How long a removal can be undone: it is asked for only then. */
const UNDO_MS = 7_000;

const PROBLEMS = new Set([401, 403, 404, 409]);

/**
 * @param {string} channel
 * @param {string} id
 * @returns {Promise<string>} what is wrong; empty where the request is in force
 */
export function cancel(channel, id) {
  return post(routeOf(channel, "cancel"), { content_id: id });
}

/**
 * Cancels many.
 * @param {string} channel
 * @param {string[]} ids
 * @returns {Promise<{ done: number, failed: number, reason: string }>}
 */
export async function cancelAll(channel, ids) {
  const waiting = [...ids];
  const outcome = { done: 0, failed: 0, reason: "" };
  const work = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      const reason = await cancel(channel, id);
      outcome[reason ? "failed" : "done"] += 1;
      outcome.reason ||= reason;
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return outcome;
}

/** A removal that is asked for after a while, so that it can be undone until then. */
export class Removal {
  #channel;
  #timer;
  #left = () => this.#ask(true);
  /** @type {(problem: string) => void} */
  #settled;

  ids;

  /**
   * @param {string} channel
   * @param {string[]} ids
   * @param {(problem: string) => void} settled  called once: with what is wrong, or with an empty text
   */
  constructor(channel, ids, settled) {
    this.#channel = channel;
    this.ids = ids;
    this.#settled = settled;
    this.#timer = setTimeout(() => this.#ask(false), UNDO_MS);
    // Who leaves the page has not undone it.
    addEventListener("pagehide", this.#left);
  }

  undo() {
    this.#end();
  }

  #end() {
    clearTimeout(this.#timer);
    removeEventListener("pagehide", this.#left);
  }

  /** @param {boolean} keepalive */
  async #ask(keepalive) {
    this.#end();
    let problem = "";
    for (let first = 0; first < this.ids.length && !problem; first += REMOVED_IDS) {
      const body = { content_ids: this.ids.slice(first, first + REMOVED_IDS) };
      const asked = post(routeOf(this.#channel, "remove"), body, keepalive);
      // A page that is left does not wait for answers.
      if (!keepalive) problem = await asked;
    }
    this.#settled(problem);
  }
}

/**
 * @param {string} path
 * @param {object} body
 * @param {boolean} [keepalive]
 * @returns {Promise<string>} what is wrong; empty on success
 */
async function post(path, body, keepalive = false) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      keepalive,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (answer.ok) return "";
    if (PROBLEMS.has(answer.status)) return t(`action${answer.status}`);
    return (await answer.json()).error?.message ?? t("noAnswer");
  } catch {
    return t("noAnswer");
  }
}
