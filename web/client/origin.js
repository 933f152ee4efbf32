/** Which hub a page means that names none. */

/** Pages of a hub load its modules from its /assets/. */
const SERVED = /assets\/client\/\w+\.js$/;

/**
 * The hub that serves this module, or the page's origin.
 * @returns {string}
 */
export function origin() {
  // Not by `new URL(…, import.meta.url)`, which bundlers take for a file of theirs.
  const [hub, served] = import.meta.url.split(SERVED);
  if (served === "") return hub;
  if (globalThis.location) return globalThis.location.origin;
  throw new TypeError("connect needs the hub's url");
}
