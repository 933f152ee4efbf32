/** The stream over WebSocket: one socket, in which each topic has a cursor of its own. */
import { isPattern } from "./topics.js";
import { parsed } from "./transport.js";

/** What close codes mean to a client. A socket that was refused before the upgrade has none of the hub's. */
const TOKEN_ENDED = 4401;
const NEVER_OPENED = 1006;

/** @type {import("./transport.js").Transport} */
export function open({ hub, topics, since, deltas, grant, signal, hear, lost }) {
  const address = new URL("api/ws", hub);
  address.protocol = address.protocol.replace("http", "ws");
  if (grant.ticket) address.searchParams.set("ticket", grant.ticket);
  const socket = new WebSocket(address, ["statushub", ...(grant.token ? [`bearer.${grant.token}`] : [])]);
  let opened = false;

  /** @param {import("./transport.js").Loss} loss */
  const end = (loss) => {
    socket.onclose = socket.onmessage = null;
    socket.close();
    lost(loss);
  };
  signal.addEventListener("abort", () => socket.close());

  socket.onopen = () => {
    opened = true;
    for (const topic of topics) {
      const name = isPattern(topic) ? { match: topic } : { channel_id: topic };
      const cursor = since(topic);
      const message = { type: "subscribe", ...name, ...(cursor && { since: cursor }), ...(deltas && { deltas }) };
      socket.send(JSON.stringify(message));
    }
  };
  socket.onmessage = ({ data: text }) => {
    const { type, id = "", data, channel_id, match, ...rest } = parsed(text) ?? {};
    const topic = match ?? channel_id ?? data?.channel_id;
    if (type === "error") {
      // A topic that is refused: polls tell which, and why.
      if (topic) end({ final: true });
    } else if (type !== "subscribed" && type !== "unsubscribed") {
      hear({ type, id, data: id ? data : rest, topics: topic ? [topic] : topics });
    }
  };
  socket.onclose = ({ code }) => end({ final: !opened && code === NEVER_OPENED, denied: code === TOKEN_ENDED });
}
