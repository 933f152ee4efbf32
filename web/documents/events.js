/** Follows a channel of the hub by the hub's client: one stream for all tabs, and polls where there is none. */

import { connect } from "../client/index.js";

/** What the pages call the states of a connection. */
/** @type {Record<string, "live" | "refused">} */
const STATES = { live: "live", polling: "live", refused: "refused" };

/**
 * @param {string} channel
 * @param {object} on
 * @param {(content: any) => void} on.content  the state of a content, as the hub has it now
 * @param {(id: string) => void} [on.removed]
 * @param {() => void} [on.reset]  what is known of the channel is void, and comes anew
 * @param {() => void} [on.ready]  everything that there is has come
 * @param {(state: "connecting" | "live" | "refused") => void} [on.state]
 * @param {URL} base  of the hub
 * @returns {() => void} ends it
 */
export function follow(channel, on, base) {
  const hub = connect({ url: base, channels: [channel] });
  hub.on("status", ({ content }) => on.content(content.data));
  hub.on("removed", ({ id }) => on.removed?.(id));
  hub.on("reset", () => on.reset?.());
  hub.on("ready", () => on.ready?.());
  hub.on("state", ({ state }) => on.state?.(STATES[state] ?? "connecting"));
  return () => hub.close();
}
