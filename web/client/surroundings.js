/** What a page goes through: it is hidden and shown, loses its network, and lies in the back-forward cache. */

/**
 * @typedef {object} Surroundings
 * @property {(hidden: boolean) => void} [hidden]
 * @property {(online: boolean) => void} [network]
 * @property {(asleep: boolean) => void} [asleep]
 */

/** Whether the page cannot be seen. A worker and a server have no page. */
export function isHidden() {
  return globalThis.document?.hidden ?? false;
}

/** Whether the browser thinks that there is a network. Other programs do not say. */
export function isOnline() {
  return globalThis.navigator?.onLine ?? true;
}

/**
 * @param {Surroundings} tell
 * @returns {() => void} ends it
 */
export function watch(tell) {
  const controller = new AbortController();
  const { signal } = controller;
  /**
   * @param {any} target
   * @param {string} type
   * @param {(event: any) => void} listener
   */
  const on = (target, type, listener) => target?.addEventListener?.(type, listener, { signal });
  const { window, document } = globalThis;
  on(globalThis, "online", () => tell.network?.(true));
  on(globalThis, "offline", () => tell.network?.(false));
  on(document, "visibilitychange", () => tell.hidden?.(isHidden()));
  on(document, "freeze", () => tell.asleep?.(true));
  on(document, "resume", () => tell.asleep?.(false));
  // What keeps a connection is not kept in the back-forward cache.
  on(window, "pagehide", () => tell.asleep?.(true));
  on(window, "pageshow", ({ persisted }) => persisted && tell.asleep?.(false));
  return () => controller.abort();
}
