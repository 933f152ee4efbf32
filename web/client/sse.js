/** Server-Sent Events by the browser's `EventSource`. */
import { addressOf } from "./topics.js";
import { addTo, earliest, parsed } from "./transport.js";

const CONTROLS = ["ready", "reset", "heartbeat", "drain", "limit"];

/**
 * The address of a stream, for those who read it by `fetch`, too.
 * @param {import("./transport.js").Opening} opening
 */
export function streamAddress({ hub, topics, since, deltas, contentIds, grant }) {
  const address = addressOf(hub, topics, "events");
  addTo(address, { since: earliest(topics, since), contentIds, grant });
  // Whatever the hub's default is.
  address.searchParams.set("events", "named");
  if (deltas) address.searchParams.set("deltas", "1");
  return address;
}

/** @type {import("./transport.js").Transport} */
export function openEventSource(opening) {
  const { types, cookies, signal, hear, lost } = opening;
  const source = new EventSource(streamAddress(opening), { withCredentials: cookies });
  signal.addEventListener("abort", () => source.close());
  for (const name of [...types, ...CONTROLS]) {
    source.addEventListener(name, ({ type, lastEventId: id, data }) => hear({ type, id, data: parsed(data) }));
  }
  source.onerror = () => {
    // The browser is about to reconnect, or it has given up: that is the case where the answer was no stream.
    const final = source.readyState === EventSource.CLOSED;
    source.close();
    lost({ final });
  };
}
