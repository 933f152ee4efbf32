/** What requests by `fetch` have in common. */
import { HubError } from "./error.js";
import { parsed } from "./transport.js";

/** @param {import("./credentials.js").Grant} grant @returns {Record<string, string>} */
export function headersOf({ token }) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Whether the hub refuses the grant. @param {Response} response */
export function isDenied({ status }) {
  return status === 401 || status === 403;
}

/**
 * What the body of an answer says that is none.
 * @param {Response} response
 * @returns {Promise<import("./machine-state.js").Failure & { error: HubError }>}
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
  return { error, reason: error.message, refused, wait: retryAfter(response) };
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
