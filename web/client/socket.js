/** The stream over WebSocket. */

/** @type {import("./transport.js").Transport} */
export function openSocket() {
  throw new Error("not built yet");
}
