/** The hub of components: when it is connected to, what it follows and when it is closed. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { LazyHub } from "../../web/client/lazy.js";
import { MemoryHub } from "./memory-hub.js";

/** Longer than components may be gone before the hub is closed. */
const LONG_MS = 10_000;

const nothing = () => {};

/** Run the microtasks that are queued. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("LazyHub", () => {
  /** @type {MemoryHub[]} */
  let hubs;
  /** @type {(options?: any, initial?: any) => LazyHub} */
  let lazyHub;

  beforeEach(() => {
    hubs = [];
    lazyHub = (options = {}, initial = {}) => {
      return new LazyHub(options, initial, (given) => /** @type {any} */ (hubs[hubs.push(new MemoryHub(given)) - 1]));
    };
    mock.timers.enable({ apis: ["setTimeout"] });
  });
  afterEach(() => mock.timers.reset());

  it("connects once for all components that subscribe together", async () => {
    const lazy = lazyHub({ channels: ["a"] });
    for (const channel of ["a", "b", "c", "b"]) lazy.follow([channel], nothing);
    assert.equal(hubs.length, 0);
    await settled();
    assert.deepEqual(
      hubs.map((hub) => hub.channels()),
      [["a", "b", "c"]],
    );
  });

  it("does not connect before there is anything to follow", async () => {
    const lazy = lazyHub();
    lazy.follow([], nothing);
    await settled();
    assert.equal(hubs.length, 0);
    assert.equal(lazy.view.hub, null);
    lazy.follow(["a"], nothing);
    await settled();
    assert.equal(hubs.length, 1);
  });

  it("keeps its connection where components leave and come back, as Strict Mode has them do", async () => {
    const lazy = lazyHub();
    lazy.follow(["a"], nothing)();
    const end = lazy.follow(["a"], nothing);
    await settled();
    end();
    lazy.follow(["a"], nothing);
    mock.timers.tick(LONG_MS);
    await settled();
    assert.deepEqual(
      hubs.map(({ closed }) => closed),
      [false],
    );
  });

  it("closes its connection after the last subscriber, and opens another for the next", async () => {
    const lazy = lazyHub();
    const ends = [lazy.follow(["a"], nothing), lazy.follow(["b"], nothing)];
    await settled();
    for (const end of ends) end();
    mock.timers.tick(LONG_MS);
    assert.equal(hubs[0].closed, true);
    assert.equal(lazy.view.hub, null);
    lazy.follow(["b"], nothing);
    await settled();
    assert.deepEqual(hubs[1].channels(), ["b"]);
  });

  it("drops a channel after its last subscriber, and none of the options", async () => {
    const lazy = lazyHub({ channels: ["a"] });
    lazy.follow([], nothing);
    const ends = ["a", "b", "b"].map((channel) => lazy.follow([channel], nothing));
    await settled();
    ends[0]();
    ends[1]();
    mock.timers.tick(LONG_MS);
    assert.deepEqual(hubs[0].channels(), ["a", "b"]);
    ends[2]();
    mock.timers.tick(LONG_MS);
    assert.deepEqual(hubs[0].channels(), ["a"]);
  });

  it("adds no channel that its pattern names", async () => {
    const lazy = lazyHub({ match: "jobs/**" });
    lazy.follow(["jobs/1"], nothing);
    lazy.follow(["drafts"], nothing);
    await settled();
    assert.deepEqual(hubs[0].channels(), ["drafts"]);
  });

  it("gives a hub that it was given back as it was", async () => {
    const hub = new MemoryHub({ channels: ["a"] });
    const lazy = lazyHub({ hub });
    const ends = [lazy.follow(["a"], nothing), lazy.follow(["b"], nothing)];
    await settled();
    assert.deepEqual(hub.channels(), ["a", "b"]);
    for (const end of ends) end();
    mock.timers.tick(LONG_MS);
    assert.deepEqual([hub.channels(), hub.closed], [["a"], false]);
  });

  it("shows the statuses of a server until the whole state is here", async () => {
    const lazy = lazyHub({}, { drafts: [{ content_id: "a", status: "generating", progress: 3 }] });
    lazy.follow(["drafts"], nothing);
    await settled();
    hubs[0].put("drafts", "b", "complete");
    const ids = () => lazy.contents("drafts").map(({ id }) => id);
    assert.deepEqual(ids(), ["a"]);
    assert.equal(lazy.get("a")?.phase, "processing");
    hubs[0].complete();
    await settled();
    assert.deepEqual(ids(), ["b"]);
    assert.equal(lazy.get("a"), undefined);
    assert.equal(lazy.view.ready, true);
  });

  it("has another view only where something of it has changed", async () => {
    const lazy = lazyHub();
    let calls = 0;
    lazy.follow(["a"], () => (calls += 1));
    await settled();
    const { view } = lazy;
    hubs[0].put("a", "1", "generating");
    hubs[0].frame();
    assert.equal(lazy.view, view);
    hubs[0].become("live");
    hubs[0].frame();
    assert.equal(lazy.view.state, "live");
    assert.equal(calls, 3);
  });
});
