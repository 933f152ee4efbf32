/** Single stories of a page, told by a hub of the test: those that random interleavings come to seldom. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { FakeHub } from "./fake_hub.js";
import { connect, HubError } from "statushub";

const real = setTimeout;

/** Modules are loaded on demand: what is on its way arrives. */
const settled = () => new Promise((resolve) => real(resolve, 10));

/** @param {number} ms */
async function pass(ms) {
  mock.timers.tick(ms);
  await settled();
}

/** @type {FakeHub} */
let hub;
/** @type {import("statushub").Hub} */
let client;

beforeEach(async () => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
  hub = new FakeHub();
  hub.install();
  client = connect({ url: "http://hub.example", channels: ["c"], share: false });
  await settled();
});

afterEach(() => {
  client.close();
  mock.timers.reset();
});

/** @param {number} [count] */
async function deliver(count) {
  for (const stream of [...hub.streams]) stream.deliver(count);
  for (const request of [...hub.requests]) request.deliver();
  await settled();
}

const ids = () => client.contents().map(({ id }) => id);

test("a channel that joins before another is whole hides no removal", async () => {
  hub.publish("a");
  client.retry();
  await settled();
  client.add("d");
  await deliver(1);
  hub.remove("a");
  await pass(20);
  await deliver();
  await deliver();
  assert.deepEqual(ids(), []);
});

test("a channel that is dropped and added again has its whole state", async () => {
  hub.publish("old", "d");
  client.add("d");
  await pass(20);
  await deliver();
  await deliver();
  assert.deepEqual(ids(), ["old"]);
  client.drop("d");
  client.add("d");
  hub.publish("new", "d");
  for (const stream of [...hub.streams]) stream.deliver();
  await pass(20);
  await deliver();
  await deliver();
  assert.deepEqual(ids().sort(), ["new", "old"]);
});

test("a channel that is dropped and added again does not show what was removed meanwhile", async () => {
  client.add("d");
  await pass(20);
  await deliver();
  await deliver();
  hub.publish("gone", "d");
  client.drop("d");
  client.add("d");
  for (const stream of [...hub.streams]) stream.deliver();
  hub.remove("gone");
  await pass(20);
  await deliver();
  await deliver();
  assert.equal(client.state, "live");
  assert.deepEqual(ids(), []);
});

test("a page that has dropped all of its channels asks for none, and then for those that it adds", async () => {
  client.drop("c");
  client.retry();
  await settled();
  const asked = [...hub.streams, ...hub.requests].map(({ url }) => url);
  assert.deepEqual(
    asked.filter((url) => !url.includes("/c/")),
    [],
  );
  await pass(20);
  hub.publish("new", "d");
  client.add("d");
  await pass(20);
  await deliver();
  assert.deepEqual(ids(), ["new"]);
});

test("an end resolves, a removal and a closed hub reject", async () => {
  await deliver();
  hub.publish("a");
  const [end, gone, closed] = [client.until("a"), client.until("b"), client.until("never")];
  const outcomes = Promise.allSettled([gone, closed]);
  hub.publish("b");
  hub.end("a");
  hub.remove("b");
  await deliver();
  assert.equal((await end).phase, "completed");
  client.close();
  const [removed, aborted] = await outcomes;
  assert.ok(removed.status === "rejected" && removed.reason instanceof HubError);
  assert.equal(removed.reason.code, "removed");
  assert.ok(aborted.status === "rejected" && aborted.reason.name === "AbortError");
});

test("what waits is given up with its signal, and leaves nothing", async () => {
  const controller = new AbortController();
  const waits = Promise.allSettled([
    client.until("a", { signal: controller.signal, channel: "d" }),
    client.ready({ signal: controller.signal }),
  ]);
  assert.deepEqual(client.channels(), ["c", "d"]);
  controller.abort(new Error("enough"));
  for (const outcome of await waits) assert.ok(outcome.status === "rejected" && outcome.reason.message === "enough");
  assert.deepEqual(client.channels(), ["c"]);
});

test("a signal closes the hub, also one that has been given before", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const other = connect({ url: "http://hub.example", channels: ["c"], share: false, signal });
  await settled();
  assert.equal(hub.streams.size, 2);
  controller.abort();
  await settled();
  assert.equal(other.state, "closed");
  assert.equal(hub.streams.size, 1);
  assert.equal(connect({ url: "http://hub.example", channels: ["c"], share: false, signal }).state, "closed");
});

test("a slow reader is told the last state of each content, and every removal", async () => {
  await deliver();
  hub.publish("a");
  await deliver();
  const changes = client[Symbol.asyncIterator]();
  const next = async () => {
    const { value } = await changes.next();
    return value && [value.kind, value.id, value.content?.data.progress];
  };
  assert.deepEqual(await next(), ["status", "a", 1]);
  for (let time = 0; time < 50; time += 1) hub.publish("a");
  hub.publish("b");
  hub.remove("b");
  await deliver();
  assert.deepEqual(await next(), ["status", "a", 51]);
  assert.deepEqual(await next(), ["removed", "b", undefined]);
  const last = next();
  client.close();
  assert.equal(await last, undefined);
});

test("a slow reader is not told what a reset has voided", async () => {
  await deliver();
  const changes = client[Symbol.asyncIterator]();
  const first = changes.next();
  hub.publish("a");
  await deliver();
  assert.equal((await first).value?.id, "a");
  hub.publish("b");
  await deliver();
  hub.begin();
  hub.publish("c");
  client.retry();
  await settled();
  await deliver();
  const told = [];
  for (let time = 0; time < 3; time += 1) told.push((await changes.next()).value?.kind);
  assert.deepEqual(told, ["reset", "status", "ready"]);
});

test("a listener that throws keeps no other from being called", async () => {
  const thrown = mock.method(globalThis, "setTimeout");
  /** @type {string[]} */
  const told = [];
  client.on("status", () => {
    throw new Error("of a page");
  });
  client.on("status", ({ id }) => told.push(id));
  hub.publish("a");
  await deliver();
  assert.deepEqual(told, ["a"]);
  assert.throws(() => mock.timers.tick(0), /of a page/);
  thrown.mock.restore();
});

test("a part tells only of its own changes", async () => {
  await deliver();
  hub.publish("a");
  await deliver();
  const part = client.select((it) => it.get("a"));
  let calls = 0;
  part.subscribe(() => (calls += 1));
  hub.publish("b");
  await deliver();
  await pass(300);
  assert.equal(calls, 0);
  hub.end("a");
  await deliver();
  await pass(300);
  assert.equal(calls, 1);
  assert.equal(part.get()?.phase, "completed");
});

test("many channels are polled with one request that reads each, and has a pattern", async () => {
  hub.reachable = false;
  client.add(...Array.from({ length: 63 }, (_, number) => `n/${number}`));
  await pass(20);
  for (let time = 0; time < 4; time += 1) await pass(5_000);
  const [request] = [...hub.requests];
  const { searchParams } = new URL(request.url);
  assert.equal(searchParams.getAll("channel").length + searchParams.getAll("match").length, 64);
  assert.equal(searchParams.getAll("match").length, 1);
});
