/** What a page goes through: it is hidden and shown, loses its network, and lies in the back-forward cache. */

/**
 * @typedef {object} Surroundings
 * @property {() => void} [hidden]  or shown
 * @property {(online: boolean) => void} [network]
 * @property {(asleep: boolean) => void} [asleep]
 */

/** Whether the page cannot be seen. A worker and a server have no page. */
export function isHidden() {
  return Boolean(globalThis.document?.hidden);
}

/** Whether the browser thinks that there is a network. Other programs do not say. */
export function isOnline() {
  return globalThis.navigator?.onLine !== false;
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
  const { hidden, network, asleep } = tell;
  on(globalThis, "online", () => network?.(true));
  on(globalThis, "offline", () => network?.(false));
  on(document, "visibilitychange", () => hidden?.());
  on(document, "freeze", () => asleep?.(true));
  on(document, "resume", () => asleep?.(false));
  // What keeps a connection is not kept in the back-forward cache.
  on(window, "pagehide", () => asleep?.(true));
  on(window, "pageshow", ({ persisted }) => persisted && asleep?.(false));
  return () => controller.abort();
}
