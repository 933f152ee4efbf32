// better-sse on node:http, as its documentation shows: a channel of its own for each name.
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const HEARTBEAT_MS = 15_000;
const channels = new Map();

function channelOf(name) {
  let channel = channels.get(name);
  if (!channel) channels.set(name, (channel = createChannel()));
  return channel;
}

const server = createServer(async (request, response) => {
  const channel = channelOf(request.url);
  if (request.method === "GET") {
    channel.register(await createSession(request, response, { keepAlive: HEARTBEAT_MS }));
    return;
  }
  let body = "";
  for await (const part of request) body += part;
  channel.broadcast(JSON.parse(body), "content_status_update");
  response.writeHead(204).end();
});
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.listen(Number(process.argv[2]), "127.0.0.1", 4096);
