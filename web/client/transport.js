/**
 * What transports of streams have in common. Each is a function that opens a stream, which the signal closes; what it
 * says after that is not heard. It never reconnects by itself: the machine decides when.
 *
 * @typedef {object} Opening
 * @property {URL} hub
 * @property {string[]} topics
 * @property {(topic: string) => string | null} since  the cursor after which a topic is followed
 * @property {boolean} deltas
 * @property {string[]} contentIds  only these; all, where it is empty
 * @property {Iterable<string>} types
 * @property {import("./credentials.js").Grant} grant
 * @property {boolean} cookies to another origin
 * @property {AbortSignal} signal
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
 * @property {import("./machine-state.js").Failure} [failure]
 * @property {import("./error.js").HubError} [error]
 *
 * @typedef {(opening: Opening) => void} Transport
 */

import { compareCursors } from "./cursor.js";

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
  if (!cursors.every(Boolean)) return null;
  return cursors.sort((one, other) => compareCursors(/** @type {string} */ (one), /** @type {string} */ (other)))[0];
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
