/** What is loaded on demand and cannot be: offline, or a hub with another version. The page goes on as well as it can. */
import assert from "node:assert/strict";
import { register } from "node:module";
import { afterEach, beforeEach, mock, test } from "node:test";
import { FakeHub } from "./fake_hub.js";

/** Which modules are missing, the generation of all modules, since each test has its own, and how many loads failed. */
const shared = new Int32Array(new SharedArrayBuffer(12));

const HOOKS = `
  let shared;
  export const initialize = (given) => { shared = given; };
  export const resolve = async (specifier, context, next) => {
    const at = ["./poll.js", "./credentials.js", "./wait.js"].indexOf(specifier);
    if (at >= 0 && shared[0] & (1 << at)) {
      shared[2] += 1;
      throw new Error("no " + specifier);
    }
    const found = await next(specifier, context);
    return found.url.includes("/web/client/") ? { ...found, url: found.url + "?" + shared[1] } : found;
  };
`;
register(`data:text/javascript,${encodeURIComponent(HOOKS)}`, { data: shared });

const NOTHING = 0;
const POLLS = 1;
const ALL = 7;

const realTimeout = setTimeout;

/** @type {FakeHub} */
let hub;
/** @type {typeof import("statushub").connect} */
let connect;
/** @type {import("statushub").Hub} */
let client;

/** @param {import("statushub").Options} [options] */
function connected(options) {
  client = connect({ url: "http://hub.example", channels: ["c"], share: false, ...options });
}

/** Waits until something is so: modules come in real time. @param {() => boolean} condition @param {string} what */
async function becomes(condition, what) {
  for (let turn = 0; turn < 1_000 && !condition(); turn += 1) await new Promise((resolve) => realTimeout(resolve, 5));
  assert.ok(condition(), what);
}

/** Time passes until something is so, while all that is on its way arrives. @param {() => boolean} condition */
async function passes(condition, what = "in time") {
  await becomes(() => {
    mock.timers.tick(100);
    for (const stream of [...hub.streams]) stream.deliver();
    for (const request of [...hub.requests]) request.deliver();
    return condition();
  }, what);
}

const ids = () => client.contents().map(({ id }) => id);

beforeEach(async () => {
  shared[1] += 1;
  shared[0] = ALL;
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
  hub = new FakeHub();
  hub.install();
  ({ connect } = await import("statushub"));
});

afterEach(() => {
  client.close();
  mock.timers.reset();
});

test("a page that cannot load polls says so, and polls once it can", async () => {
  hub.buffering = true;
  hub.publish("a");
  connected();
  await passes(() => client.state === "offline");
  assert.equal(client.reason, "no ./poll.js");
  shared[0] = NOTHING;
  await passes(() => client.state === "polling" && ids().includes("a"));
});

test("a page that cannot load polls has its stream back, without a gap", async () => {
  connected();
  await passes(() => client.state === "live");
  hub.publish("a");
  for (const stream of [...hub.streams]) stream.fail(true);
  await becomes(() => client.state === "offline", "offline");
  hub.publish("b");
  await passes(() => client.state === "live");
  await passes(() => ids().length === 2);
});

test("a page that has no ticket yet, and cannot load polls, tries its stream again", async () => {
  let given = 0;
  shared[0] = POLLS;
  connected({
    ticket: () => {
      given += 1;
      if (given === 1) throw new Error("no ticket yet");
      return "t";
    },
  });
  await becomes(() => given === 1, "asked");
  await passes(() => client.state === "live");
});

test("a channel that was added joins once polls are loaded", async () => {
  hub.publish("a");
  connected();
  await passes(() => client.state === "live");
  hub.publish("x", "d");
  const failed = shared[2];
  client.add("d");
  mock.timers.tick(20);
  await becomes(() => shared[2] > failed, "not loaded");
  shared[0] = NOTHING;
  await passes(() => {
    for (const stream of hub.streams) stream.beat();
    return ids().length === 2;
  });
  assert.equal(client.state, "live");
});

test("a page that cannot load what keeps its ticket is live once it can", async () => {
  hub.publish("a");
  connected({ ticket: () => "t" });
  await becomes(() => client.state !== "connecting", "failed");
  assert.notEqual(client.state, "live");
  shared[0] = NOTHING;
  await passes(() => client.state === "live" && ids().includes("a"));
});

test("what is ready already is so without more", async () => {
  connected();
  await passes(() => client.state === "live");
  await client.ready();
  await assert.rejects(client.until("a"), { message: "no ./wait.js" });
  shared[0] = NOTHING;
  const end = client.until("a");
  hub.publish("a");
  hub.end("a");
  await passes(() => client.get("a")?.ended === true);
  assert.equal((await end).id, "a");
});
