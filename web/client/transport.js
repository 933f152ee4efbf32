/**
 * What transports of streams have in common. Each is a function that opens a stream, which the signal closes; what it
 * says after that is not heard. It never reconnects by itself: the machine decides when.
 *
 * @typedef {object} Opening
 * @property {URL} hub
 * @property {string[]} topics
 * @property {(topic: string) => string | null | undefined} since  the cursor after which a topic is followed
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
 *
 * @typedef {(opening: Opening) => void} Transport
 */

import { compareCursors } from "./cursor.js";
import { isPattern } from "./topics.js";

/** Longest stream address that is asked for certain contents only: the hub allows a query of 4 KiB. */
const QUERY_MAX = 3_500;

/** Most contents that a request may name. */
const CONTENTS_MAX = 100;

/**
 * The address of the stream (`events`) or the poll (`changes`) of topics.
 * @param {"events" | "changes"} leaf
 * @param {Pick<Opening, "hub" | "topics" | "since" | "contentIds" | "grant">} asked
 */
export function addressOf(leaf, { hub, topics, since, contentIds, grant }) {
  const [first] = topics;
  const one = topics.length === 1 && !isPattern(first);
  const address = new URL(one ? `api/contents/${encodeURIComponent(first)}/${leaf}` : `api/${leaf}`, hub);
  const query = address.searchParams;
  if (!one) for (const topic of topics) query.append(isPattern(topic) ? "match" : "channel", topic);
  const cursor = earliest(topics, since);
  if (cursor) query.set("since", cursor);
  if (grant.ticket) query.set("ticket", grant.ticket);
  const before = address.search;
  // The hub sends less then. The client looks for itself, too: an older hub does not know the parameter.
  if (contentIds.length <= CONTENTS_MAX) for (const id of contentIds) query.append("content_id", id);
  if (address.search.length > QUERY_MAX) address.search = before;
  return address;
}

/**
 * The address of a stream.
 * @param {Opening} opening
 */
export function streamAddress(opening) {
  const address = addressOf("events", opening);
  // Whatever the hub's default is.
  address.searchParams.set("events", "named");
  if (opening.deltas) address.searchParams.set("deltas", "1");
  return address;
}

/**
 * Of the topics, the earliest cursor, after which all of them are followed without a gap; nothing where one has none.
 * @param {string[]} topics
 * @param {Opening["since"]} since
 */
function earliest(topics, since) {
  const cursors = topics.flatMap((topic) => since(topic) ?? []);
  if (cursors.length === topics.length) return cursors.sort(compareCursors)[0];
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
    return undefined;
  }
}

/**
 * Of what was thrown, by a page's own function or where something cannot be loaded.
 * @param {any} error
 * @returns {import("./machine-state.js").Failure & { reason: string }}
 */
export function failureOf(error) {
  return { reason: error?.message ?? String(error) };
}
