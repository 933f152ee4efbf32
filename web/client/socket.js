/** The stream over WebSocket: one socket, in which each topic has a cursor of its own. */
import { isPattern } from "./topics.js";
import { parsed } from "./transport.js";

/** What close codes mean to a client. A socket that was refused before the upgrade has none of the hub's. */
const TOKEN_ENDED = 4401;
const NEVER_OPENED = 1006;

/** @type {import("./transport.js").Transport} */
export function openSocket({ hub, topics, since, deltas, grant, hear, lost }) {
  const address = new URL("api/ws", hub);
  address.protocol = address.protocol.replace("http", "ws");
  if (grant.ticket) address.searchParams.set("ticket", grant.ticket);
  const socket = new WebSocket(address, ["statushub", ...(grant.token ? [`bearer.${grant.token}`] : [])]);
  /** The topics that are not ready: the client is told once all are. */
  const waiting = new Set(topics);
  let opened = false;
  let ended = false;

  /** @param {{ final: boolean, denied?: boolean, failure?: import("./machine.js").Failure }} loss */
  const end = (loss) => {
    if (ended) return;
    ended = true;
    socket.close();
    if (loss) lost(loss);
  };
  /** @param {object} message */
  const say = (message) => socket.send(JSON.stringify({ ...message, ...(deltas && { deltas }) }));

  socket.onopen = () => {
    opened = true;
    for (const topic of topics) {
      const name = isPattern(topic) ? { match: topic } : { channel_id: topic };
      const cursor = since(topic);
      say({ type: "subscribe", ...name, ...(cursor && { since: cursor }) });
    }
  };
  socket.onmessage = ({ data: text }) => {
    if (ended) return;
    const { type, id, data, channel_id, match, ...rest } = parsed(text) ?? {};
    const topic = match ?? channel_id ?? data?.channel_id;
    if (type === "ready") {
      waiting.delete(topic);
      hear({ type, id: "", data: rest, topics: [topic] });
    } else if (type === "error") {
      // A topic that is refused: polls tell which, and why.
      if (topic) end({ final: true });
    } else if (id) hear({ type, id, data, topics: [topic] });
    else if (type !== "subscribed" && type !== "unsubscribed")
      hear({ type, id: "", data: rest, topics: topic ? [topic] : topics });
  };
  socket.onclose = ({ code }) => end({ final: !opened && code === NEVER_OPENED, denied: code === TOKEN_ENDED });
  return () => {
    ended = true;
    socket.close();
  };
}
