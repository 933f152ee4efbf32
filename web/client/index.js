/**
 * Statushub for pages, workers and Node.js: what works on, live.
 *
 *     import { connect } from "statushub";
 *
 *     const hub = connect({ url: "https://hub.example", channels: ["encodes"] });
 *     hub.subscribe(() => render(hub.contents("encodes"), hub.state));
 *     const { data } = await hub.until("clip-1");
 */
import { Hub } from "./hub.js";

export { Hub } from "./hub.js";
export { HubError } from "./error.js";

/**
 * Follows channels of a hub until it is closed.
 * @param {import("./hub.js").Options} options
 * @returns {Hub}
 */
export function connect(options) {
  return new Hub(options);
}

/**
 * @typedef {import("./hub.js").Options} Options
 * @typedef {import("./content.js").Content} Content
 * @typedef {import("./content.js").Phase} Phase
 * @typedef {import("./view.js").Change} Change
 * @typedef {import("./machine-state.js").State} State
 */
