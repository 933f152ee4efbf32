/** Polls of a channel's summary, for pages that want no real time. */
import { headersOf } from "./answer.js";
import { Credentials } from "./credentials.js";
import { isHidden } from "./surroundings.js";

/**
 * Asks every so often while the page is visible, the first time immediately. An answer that says nothing new is a 304
 * between the browser and the hub.
 * @param {import("./lazy.js").LazyHub} lazy
 * @param {string} channel
 * @param {number} milliseconds
 * @param {(summary: import("./summary.js").Summary) => void} answered
 * @returns {() => void}  ends it
 */
export function pollStatus(lazy, channel, milliseconds, answered) {
  const credentials = new Credentials(lazy.options);
  const aborter = new AbortController();
  let asking = false;

  async function ask() {
    if (asking || isHidden()) return;
    asking = true;
    const grant = await credentials.next();
    const address = lazy.address(channel, "status");
    if (grant.ticket) address.searchParams.set("ticket", grant.ticket);
    const response = await fetch(address, {
      credentials: lazy.options.credentials ? "include" : "same-origin",
      headers: headersOf(grant),
      signal: aborter.signal,
    });
    if (response.status === 401 || response.status === 403) credentials.refused(grant);
    else credentials.taken();
    if (!response.ok) return;
    const summary = await response.json();
    if (!aborter.signal.aborted) answered(summary);
  }

  const again = () => {
    ask()
      .catch(() => {}) // The next one may be answered.
      .finally(() => (asking = false));
  };
  again();
  const timer = setInterval(again, milliseconds);
  globalThis.document?.addEventListener("visibilitychange", again, { signal: aborter.signal });
  return () => {
    clearInterval(timer);
    aborter.abort();
  };
}
