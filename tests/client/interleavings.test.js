/** Random interleavings of what can happen to a page, against what the hub has: the view never goes back, and ends right. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import fc from "fast-check";
import { FakeHub } from "./fake_hub.js";

/** Runs of the property, always the same ones; STATUSHUB_RUNS=5000 STATUSHUB_SEED=$RANDOM for a thorough look. */
const RUNS = Number(process.env.STATUSHUB_RUNS ?? 1_000);
const SEED = Number(process.env.STATUSHUB_SEED ?? 1);

const CONTENTS = ["a", "b", "c1"];

const id = fc.constantFrom(...CONTENTS);
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("publish"), id }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("grow"), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove"), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("end"), id }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("deliver"), count: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("answer") }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("wait"), ms: fc.constantFrom(20, 600, 3_000, 5_100, 40_000, 90_000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("cut", "final", "lose", "begin", "buffer", "flow") }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("unreachable", "reachable", "online", "offline") }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("hide", "show", "freeze", "resume", "retry") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drain"), ms: fc.constantFrom(500, 4_000, 30_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("add", "drop") }) },
);

/** A page that can be hidden and frozen. */
class FakeDocument extends EventTarget {
  hidden = false;
  baseURI = "http://hub.example/";
}

const settled = () => new Promise(setImmediate);

test(
  "whatever happens in whatever order, no state goes back and the last ones are shown",
  { timeout: 200_000 },
  async () => {
    const page = new FakeDocument();
    const surroundings = new EventTarget();
    const globals = /** @type {any} */ (globalThis);
    globals.document = page;
    globals.addEventListener = surroundings.addEventListener.bind(surroundings);
    const { connect } = await import("statushub");
    // Loaded on demand, which takes no time of the test's clock.
    await import("../../web/client/poll.js");
    const named = (/** @type {Set<string>} */ topics) => (/** @type {string} */ channel) => topics.has(channel);

    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 60, size: "max" }), async (commands) => {
        mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
        page.hidden = false;
        const hub = new FakeHub();
        hub.install();
        const topics = new Set(["c"]);
        const client = connect({ url: "http://hub.example", channels: ["c"], share: false });
        /** @type {Map<string, string>} */
        const shown = new Map();
        client.on("reset", () => shown.clear());
        client.on("removed", (change) => shown.delete(change.id));
        client.on("status", ({ id: content_id, content }) => {
          assert.ok(hub.published.get(content_id)?.has(JSON.stringify(content.data)), `${content_id} was never so`);
          const before = shown.get(content_id);
          if (before && before.split("-")[0] === content.cursor.split("-")[0]) {
            assert.ok(Number(content.cursor.split("-")[1]) > Number(before.split("-")[1]), `${content_id} went back`);
          }
          shown.set(content_id, content.cursor);
        });
        try {
          for (const it of commands) {
            if (it.do === "drop") shown.delete("c1");
            await run(it, { hub, client, page, surroundings, topics });
            await settled();
          }
          // All is well again, and time passes.
          Object.assign(hub, { reachable: true, buffering: false });
          page.hidden = false;
          page.dispatchEvent(new Event("resume"));
          page.dispatchEvent(new Event("visibilitychange"));
          const expected = () => JSON.stringify([...hub.state(named(topics))].sort());
          const actual = () =>
            JSON.stringify(
              client
                .contents()
                .map(({ id: content_id, data }) => [content_id, JSON.stringify(data)])
                .sort(),
            );
          for (let round = 0; round < 400 && !(client.state === "live" && actual() === expected()); round += 1) {
            mock.timers.tick(1_000);
            await settled();
            for (const stream of [...hub.streams]) {
              if (round % 10 === 0) stream.beat();
              stream.deliver();
            }
            for (const request of [...hub.requests]) if (!request.url.includes("wait=25")) request.deliver();
            await settled();
          }
          assert.equal(client.state, "live");
          assert.equal(actual(), expected());
          assert.equal(hub.streams.size, 1);
          client.close();
          await settled();
          assert.equal(hub.streams.size, 0);
          assert.equal(hub.requests.size, 0);
          const { opened, asked } = hub;
          mock.timers.tick(600_000);
          await settled();
          assert.deepEqual([hub.opened, hub.asked], [opened, asked]);
        } finally {
          client.close();
          mock.timers.reset();
        }
      }),
      { numRuns: RUNS, seed: SEED, includeErrorInReport: true },
    );
  },
);

/** @param {any} it @param {any} world */
async function run(it, { hub, client, page, surroundings, topics }) {
  switch (it.do) {
    case "publish":
      return hub.publish(it.id, it.id === "c1" ? "d" : "c");
    case "grow":
      return it.id !== "c1" && hub.grow(it.id, ` ${hub.offset}`);
    case "remove":
      return hub.remove(it.id);
    case "end":
      return hub.end(it.id, it.id === "c1" ? "d" : "c");
    case "deliver":
      for (const stream of [...hub.streams]) stream.deliver(it.count);
      return;
    case "answer":
      for (const request of [...hub.requests]) request.deliver();
      return;
    case "wait":
      return mock.timers.tick(it.ms);
    case "cut":
      return hub.cut();
    case "final":
      for (const stream of [...hub.streams]) stream.fail(true);
      return;
    case "lose":
      for (const request of [...hub.requests]) request.fail();
      return;
    case "begin":
      return hub.begin();
    case "buffer":
      hub.buffering = true;
      return;
    case "flow":
      hub.buffering = false;
      return;
    case "unreachable":
      hub.reachable = false;
      return;
    case "reachable":
      hub.reachable = true;
      return;
    case "online":
    case "offline":
      surroundings.dispatchEvent(new Event(it.do));
      return;
    case "hide":
    case "show":
      page.hidden = it.do === "hide";
      page.dispatchEvent(new Event("visibilitychange"));
      return;
    case "freeze":
    case "resume":
      page.dispatchEvent(new Event(it.do));
      return;
    case "retry":
      return client.retry();
    case "drain":
      for (const stream of [...hub.streams]) stream.drain(it.ms);
      return;
    case "add":
      topics.add("d");
      return client.add("d");
    case "drop":
      topics.delete("d");
      return client.drop("d");
  }
}
