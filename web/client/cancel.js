/** Requests for work to be cancelled. */
import { HubError } from "./error.js";
import { headersOf, limited, refusalOf } from "./answer.js";

/** Deadline for the answer. */
const ANSWER_MS = 20_000;

/**
 * Rejects with a `HubError` where the hub refuses.
 * @param {import("./connection.js").Options} options
 * @param {Pick<import("./hub.js").Hub, "get">} known
 * @param {string} contentId
 * @param {{ channel?: string, reason?: string, signal?: AbortSignal }} [asked]
 */
export async function cancel({ hub, credentials, cookies }, known, contentId, asked = {}) {
  const { channel = known.get(contentId)?.channel, reason, signal } = asked;
  if (channel === undefined) throw new HubError("The channel of this content is not known", 404);
  const grant = (await (await credentials())?.next({ fresh: true })) ?? {};
  const address = new URL(`api/contents/${encodeURIComponent(channel)}/cancel`, hub);
  if (grant.ticket) address.searchParams.set("ticket", grant.ticket);
  const response = await fetch(address, {
    method: "POST",
    credentials: cookies ? "include" : "same-origin",
    headers: { "Content-Type": "application/json", ...headersOf(grant) },
    body: JSON.stringify({ content_id: contentId, reason }),
    signal: limited(signal, ANSWER_MS),
  });
  if (!response.ok) throw (await refusalOf(response)).error;
}
