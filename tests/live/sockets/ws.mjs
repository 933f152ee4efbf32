// The client `ws`, whose path, address, token file and channels are the arguments.

import { readFile } from "node:fs/promises";
import { follow } from "FOLLOW";
import WebSocket from "ws";

const [url, tokens, ...channels] = process.argv.slice(2);
await follow(WebSocket, url, channels, console.log, () => readFile(tokens, "utf-8"));
