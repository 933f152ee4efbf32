/** Server-Sent Events by the browser's `EventSource`. */
import { parsed, streamAddress } from "./transport.js";

const CONTROLS = ["ready", "reset", "heartbeat", "drain", "limit"];

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
