/**
 * What transports of streams have in common. Each is a function that opens a stream and returns what closes it; after
 * that it says nothing more. It never reconnects by itself: the machine decides when.
 *
 * @typedef {object} Opening
 * @property {URL} hub
 * @property {string[]} topics
 * @property {(topic: string) => string | null} since  the cursor after which a topic is followed
 * @property {boolean} deltas
 * @property {string[]} contentIds  only these; all, where it is empty
 * @property {Iterable<string>} types
 * @property {import("./credentials.js").Grant} grant
 * @property {boolean} credentials  cookies to another origin
 * @property {(heard: Heard) => void} hear
 * @property {(loss: Loss) => void} lost
 *
 * @typedef {object} Heard
 * @property {string} type
 * @property {string} id
 * @property {any} data
 * @property {string[]} [topics]  that the cursor holds for, where it is not all
 *
 * @typedef {object} Loss
 * @property {boolean} final    the hub, or something before it, answered with what is no stream
 * @property {boolean} [denied] it refuses the grant
 * @property {import("./machine.js").Failure} [failure]
 * @property {HubError} [error]
 *
 * @typedef {(opening: Opening) => () => void} Transport
 */

import { compareCursors } from "./cursor.js";

/** A call that the hub refuses. */
export class HubError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   * @param {string} [code]  one of the hub's error codes; a proxy's refusal has none
   */
  constructor(message, status, code) {
    super(message);
    this.name = "HubError";
    this.status = status;
    this.code = code;
  }
}

/** Longest stream address that is asked for certain contents only: the hub allows a query of 4 KiB. */
const QUERY_MAX = 3_500;

/** Most contents that a request may name. */
const CONTENTS_MAX = 100;

/**
 * Adds what every request for states has.
 * @param {URL} address
 * @param {{ since?: string | null, contentIds: string[], grant: import("./credentials.js").Grant }} given
 */
export function addTo(address, { since, contentIds, grant }) {
  const query = address.searchParams;
  if (since) query.set("since", since);
  if (grant.ticket) query.set("ticket", grant.ticket);
  // The hub sends less then. The client looks for itself, too: an older hub does not know the parameter.
  if (contentIds.length > CONTENTS_MAX) return;
  const before = address.search;
  for (const id of contentIds) query.append("content_id", id);
  if (address.search.length > QUERY_MAX) address.search = before;
}

/**
 * Of the topics, the earliest cursor, after which all of them are followed without a gap; null where one has none.
 * @param {string[]} topics
 * @param {(topic: string) => string | null} since
 */
export function earliest(topics, since) {
  const cursors = topics.map(since);
  return cursors.reduce(
    (one, other) => (one && other && compareCursors(other, one) < 0 ? other : one && other),
    cursors[0],
  );
}

/**
 * Producers may store anything: what is not JSON is no status.
 * @param {string} text
 * @returns {any}
 */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {import("./credentials.js").Grant} grant @returns {Record<string, string>} */
export function headersOf({ token }) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * What the body of an answer says that is none.
 * @param {Response} response
 * @returns {Promise<{ error: HubError, failure: import("./machine.js").Failure }>}
 */
export async function refusalOf(response) {
  const { status } = response;
  const { code, message } = (parsed(await response.text()) ?? {}).error ?? {};
  const known = typeof code === "string";
  const error = new HubError(
    typeof message === "string" ? message : `The hub answers ${status}`,
    status,
    known ? code : undefined,
  );
  // The hub's own refusals of a request are final; 429 and what a proxy says are not.
  const refused = known && status >= 400 && status < 500 && ![408, 425, 429].includes(status);
  return { error, failure: { reason: error.message, refused, wait: retryAfter(response) } };
}

/**
 * Milliseconds in `Retry-After`, which has seconds or a date (RFC 9110, section 10.2.3); 0 without one.
 * @param {Response} response
 */
export function retryAfter({ headers }) {
  const value = headers.get("Retry-After");
  if (!value) return 0;
  return Math.max(/^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now(), 0) || 0;
}

/**
 * A signal that aborts with another one, and after a time.
 * @param {AbortSignal | undefined} signal
 * @param {number} milliseconds
 */
export function limited(signal, milliseconds) {
  const limit = AbortSignal.timeout(milliseconds);
  if (!signal) return limit;
  // Not `AbortSignal.any`, which browsers have had since 2024 only.
  const controller = new AbortController();
  for (const one of [signal, limit]) {
    if (one.aborted) controller.abort(one.reason);
    one.addEventListener("abort", () => controller.abort(one.reason), { once: true });
  }
  return controller.signal;
}
