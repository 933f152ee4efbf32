// node wait.js CHANNEL CONTENT_ID   prints how far it is, and ends as the content has: with 0, or with 1 where it failed
import { connect } from "statushub";

const [channel, id] = process.argv.slice(2);
const url = process.env.STATUSHUB_URL ?? "http://localhost:8000";
const hub = connect({ url, channels: [channel], token: process.env.STATUSHUB_TOKEN });

hub.subscribe(() => {
  const content = hub.get(id);
  if (content && !content.ended) console.log(content.phase, content.data.progress ?? "");
});
const { phase, data } = await hub.until(id);
hub.close();
console.log(phase === "completed" ? JSON.stringify(data) : data.error_message);
process.exitCode = phase === "completed" ? 0 : 1;
