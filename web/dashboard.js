/** The page: a stream, a board, the connection's state, totals and sign-in. */
import { Board } from "./board.js";
import { offerCancel } from "./cancel.js";
import { StatusStream } from "./client.js";
import { HubClock } from "./clock.js";
import { encodeCommand, publishCommand } from "./commands.js";
import { SignIn } from "./sign-in.js";
import { Viewer } from "./viewer.js";

const DEFAULT_CHANNEL = "encodes";

/** How long a copy button confirms. */
const COPIED_MS = 2_000;

const CONNECTION = {
  connecting: ["Connecting…", "Opening the stream."],
  live: ["Live", "Changes show the moment they happen."],
  reconnecting: ["Reconnecting…", "The stream was interrupted. It resumes where it stopped; nothing is lost."],
  polling: ["Polling", "No stream gets through, so the page polls. Nothing is missed, but changes show later."],
  offline: ["Offline", "The hub does not answer. The page shows the last known state and keeps trying."],
  refused: ["No access", "The hub refuses access to this channel."],
};

const element = (id) => document.getElementById(id);

const parameters = new URLSearchParams(location.search);
const channel = parameters.get("channel")?.trim() || DEFAULT_CHANNEL;
const clock = new HubClock();
const board = new Board(clock);
const signIn = new SignIn();
const stream = new StatusStream(channel, { types: parameters.getAll("type") });
let ready = false;
new Viewer();
tellTime();

stream.addEventListener("status", ({ detail }) => board.apply(detail.data, detail.delta));
stream.addEventListener("removed", ({ detail }) => board.remove(detail.data.content_id));
stream.addEventListener("reset", () => board.clear());
stream.addEventListener("heartbeat", ({ detail }) => clock.told(detail.timestamp));
stream.addEventListener("ready", () => {
  ready = true;
  board.settle();
  signIn.hide();
});
stream.addEventListener("state", showConnection);
signIn.addEventListener("done", () => stream.retry());
board.addEventListener("drawn", ({ detail }) => {
  showTotals();
  announce(detail.ended);
});
setInterval(() => document.hidden || board.tick(), 1000);
document.addEventListener("visibilitychange", () => document.hidden || board.tick());
document.addEventListener("click", copy);
offerCancel(channel);

element("channel").value = channel;
element("empty-channel").textContent = channel;
element("encode-command").textContent = encodeCommand(channel);
element("publish-command").textContent = publishCommand(channel, signIn.wanted);
showConnection();
showTotals();

/** The first heartbeat comes a while after the page has opened. */
async function tellTime() {
  try {
    const answer = await fetch("healthz", { method: "HEAD", cache: "no-store" });
    clock.told(answer.headers.get("Date"));
  } catch {
    // The connection's state says so.
  }
}

function showConnection() {
  const [label, meaning] = CONNECTION[stream.state];
  document.body.dataset.connection = stream.state;
  element("connection").dataset.state = stream.state;
  element("connection-label").textContent =
    stream.state === "polling" ? `${label} every ${stream.interval / 1000} s` : label;
  element("connection-meaning").textContent = stream.reason || meaning;
  if (stream.state === "refused") showSignIn();
}

function showSignIn() {
  signIn.show(stream.reason);
  element("publish-command").textContent = publishCommand(channel, true);
}

function showTotals() {
  const { processing, completed, failed } = board.totals;
  for (const [phase, total] of Object.entries({ processing, completed, failed })) {
    const number = element(`total-${phase}`);
    number.textContent = ready ? total.toLocaleString("en") : "–";
    number.toggleAttribute("data-none", !total);
  }
  element("empty").hidden = !ready || board.size > 0;
  const title = `${processing ? `(${processing}) ` : ""}${channel} · Statushub`;
  if (document.title !== title) document.title = title;
}

/** Announces to screen readers only what ended: progress would be announced every second. */
function announce(ended) {
  if (!ended.length) return;
  const [{ title, phase }] = ended;
  element("announcer").textContent = ended.length === 1 ? `${title} ${phase}` : `${ended.length} contents ended`;
}

async function copy({ target }) {
  const button = target.closest("[data-copies]");
  if (!button) return;
  const source = element(button.dataset.copies);
  const copied = await copyText(source);
  button.textContent = copied ? "Copied" : "Selected";
  setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
}

/** Pages over plain HTTP have no clipboard; there the text is selected instead. */
async function copyText(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return false;
  }
}
