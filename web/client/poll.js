/** One poll for what has changed. */
import { addressOf } from "./topics.js";
import { addTo, earliest, headersOf, parsed, refusalOf, retryAfter } from "./transport.js";

/**
 * @typedef {object} Answer
 * @property {string} cursor
 * @property {boolean} reset
 * @property {import("./view.js").Message[]} events
 *
 * @typedef {object} Outcome  an answer, or why there is none
 * @property {Answer} [answer]
 * @property {number} [wait]  milliseconds that the hub asks to wait
 * @property {string} [date]  the hub's time
 * @property {boolean} [denied]  it refuses the grant
 * @property {import("./machine.js").Failure} [failure]
 * @property {import("./transport.js").HubError} [error]
 *
 * @typedef {object} Asking
 * @property {URL} hub
 * @property {string[]} topics
 * @property {(topic: string) => string | null} since
 * @property {string[]} contentIds
 * @property {import("./credentials.js").Grant} grant
 * @property {boolean} credentials
 * @property {AbortSignal} signal
 * @property {number} [wait]      seconds
 * @property {number} [interval]  milliseconds since the last poll, for the hub's metrics
 * @property {number} [failed]    attempts to open a stream that failed, for the hub's metrics
 */

const NO_ANSWER = "The hub does not answer";

/**
 * @param {Asking} asking
 * @returns {Promise<Outcome>}
 */
export async function poll({ hub, topics, since, contentIds, grant, credentials, signal, wait, interval, failed }) {
  const address = addressOf(hub, topics, "changes");
  addTo(address, { since: earliest(topics, since), contentIds, grant });
  for (const [name, value] of Object.entries({ wait, polling: interval, failed })) {
    if (value) address.searchParams.set(name, String(Math.round(value)));
  }
  try {
    const response = await fetch(address, {
      cache: "no-store",
      credentials: credentials ? "include" : "same-origin",
      headers: headersOf(grant),
      signal,
    });
    if (!response.ok) return { denied: [401, 403].includes(response.status), ...(await refusalOf(response)) };
    const answer = parsed(await response.text());
    if (typeof answer?.cursor !== "string" || !Array.isArray(answer.events)) return { failure: { reason: NO_ANSWER } };
    return { answer, wait: retryAfter(response), date: response.headers.get("Date") ?? "" };
  } catch {
    return { failure: { reason: NO_ANSWER } };
  }
}
