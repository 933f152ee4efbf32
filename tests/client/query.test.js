/** The cache of TanStack Query beside a stream: what is patched, when it is fetched again, and when it is polled. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { MemoryHub } from "./memory-hub.js";

// Query and `syncQueryClient` take what has no window for a server.
Object.assign(globalThis, { window: globalThis });
const { QueryClient, QueryObserver } = await import("@tanstack/react-query");
const { contentQueryOptions, syncQueryClient } = await import("../../web/client/query.js");

const KEY = ["drafts"];

/** Run what is queued. */
const settled = () => new Promise((resolve) => setTimeout(resolve));

describe("syncQueryClient", () => {
  /** @type {InstanceType<typeof QueryClient>} */
  let client;
  /** @type {MemoryHub} */
  let hub;
  /** @type {(() => void)[]} */
  let ends;

  beforeEach(() => {
    client = new QueryClient();
    hub = new MemoryHub({ channels: ["drafts"] });
    ends = [];
  });
  afterEach(() => {
    for (const end of ends) end();
    client.clear();
  });

  /** @param {any} [options] */
  async function sync(options = {}) {
    ends.push(syncQueryClient(client, { hub: /** @type {any} */ (hub), channel: "drafts", queryKey: KEY, ...options }));
    await settled();
  }

  /** The hub's state is whole, and the stream live. */
  async function live() {
    hub.become("live");
    hub.complete();
    await settled();
    hub.frame();
  }

  /**
   * Observe a query that counts its fetches.
   * @param {readonly unknown[]} queryKey
   * @param {() => unknown} answer
   * @param {object} [options]
   */
  function observe(queryKey, answer, options = {}) {
    const observer = new QueryObserver(client, { queryKey, queryFn: async () => (count(), answer()), ...options });
    let fetches = 0;
    const count = () => (fetches += 1);
    ends.push(observer.subscribe(() => {}));
    return { observer, fetches: () => fetches };
  }

  /** @param {string} id @param {string} status @param {object} [data] */
  const said = (id, status, data = {}) => ({ content_id: id, channel_id: "drafts", status, ...data });

  const summary = {
    processing_contents: [
      { id: "a", status: "generating", processing_status: null, progress: 1, estimated_completion: null },
      { id: "b", status: "generating", processing_status: null, progress: 1, estimated_completion: null },
    ],
    completed_contents: [],
    failed_contents: [],
    has_processing: true,
    total_processing: 2,
    total_completed: 0,
    total_failed: 0,
    next: null,
  };

  /** @type {Record<string, [unknown, unknown]>} */
  const forms = {
    "the answer of the channel": [
      { contents: [said("a", "generating", { progress: 1, step: "x" }), said("b", "generating")], cursor: "k-1" },
      { contents: [said("c", "generating"), said("a", "generating", { progress: 2 })], cursor: "k-1" },
    ],
    "an array of statuses": [
      [said("a", "generating", { progress: 1, step: "x" }), said("b", "generating")],
      [said("c", "generating"), said("a", "generating", { progress: 2 })],
    ],
    "a list of a backend of one's own": [
      [{ id: "a", title: "A", progress: 1 }, { id: "z" }, { id: "b" }],
      [
        { id: "c", ...said("c", "generating") },
        { id: "a", title: "A", ...said("a", "generating", { progress: 2 }) },
        { id: "z" },
      ],
    ],
    "the answer of its status": [
      summary,
      {
        ...summary,
        processing_contents: [
          { id: "a", status: "generating", processing_status: null, progress: 2, estimated_completion: null },
          { id: "c", status: "generating", processing_status: null, progress: 0, estimated_completion: null },
        ],
      },
    ],
    "something else": [{ rows: 1 }, { rows: 1 }],
  };
  for (const [name, [before, after]] of Object.entries(forms)) {
    it(`patches ${name}`, async () => {
      await sync();
      client.setQueryData(KEY, before);
      hub.put("drafts", "a", "generating", { progress: 2 });
      hub.put("drafts", "c", "generating");
      hub.put("others", "z", "complete");
      hub.remove("drafts", "b");
      assert.deepEqual(client.getQueryData(KEY), before);
      hub.frame();
      assert.deepEqual(client.getQueryData(KEY), after);
    });
  }

  it("counts what goes from one list of a summary to another", async () => {
    await sync({ invalidate: false });
    client.setQueryData(KEY, summary);
    hub.put("drafts", "a", "error", { error_message: "no" });
    hub.put("drafts", "b", "complete");
    hub.frame();
    /** @type {any} */
    const found = client.getQueryData(KEY);
    assert.deepEqual(
      [found.total_processing, found.total_completed, found.total_failed, found.has_processing],
      [0, 1, 1, false],
    );
    assert.equal(found.failed_contents[0].error_message, "no");
  });

  it("patches by a function of one's own, and leaves queries alone that have no data", async () => {
    await sync({ patch: (/** @type {any} */ data, /** @type {any[]} */ changes) => data + changes.length });
    client.setQueryData([...KEY, "page"], 1);
    observe(KEY, () => new Promise(() => {}));
    hub.put("drafts", "a", "generating");
    hub.frame();
    assert.equal(client.getQueryData([...KEY, "page"]), 2);
    assert.equal(client.getQueryData(KEY), undefined);
  });

  it("keeps what came while an older answer was on its way", async () => {
    await sync();
    await live();
    /** @type {(value: unknown) => void} */
    let answer = () => {};
    observe(KEY, () => new Promise((resolve) => (answer = resolve)));
    await settled();
    hub.put("drafts", "a", "generating", { progress: 90 });
    hub.frame();
    answer({ contents: [said("a", "generating", { progress: 10 })] });
    await settled();
    assert.deepEqual(client.getQueryData(KEY), { contents: [said("a", "generating", { progress: 90 })] });
  });

  it("fetches the list again when contents end, once a frame and not for those that had ended", async () => {
    await sync();
    const { fetches } = observe(KEY, () => ({ contents: [] }));
    await settled();
    hub.put("drafts", "old", "complete");
    await live();
    await settled();
    assert.equal(fetches(), 1);
    hub.put("drafts", "a", "generating");
    hub.frame();
    await settled();
    assert.equal(fetches(), 1);
    hub.put("drafts", "a", "complete");
    hub.put("drafts", "b", "error");
    hub.frame();
    await settled();
    assert.equal(fetches(), 2);
    hub.put("drafts", "a", "complete", { cancel_requested: {} });
    hub.frame();
    await settled();
    assert.equal(fetches(), 2);
  });

  it("polls only while there is no stream, also queries that were there before", async () => {
    const before = observe(KEY, () => []).observer;
    await sync();
    const after = observe([...KEY, "page"], () => []).observer;
    const own = observe([...KEY, "own"], () => [], { refetchInterval: 70_000 }).observer;
    const interval = (/** @type {any} */ { options }) =>
      typeof options.refetchInterval === "function" ? options.refetchInterval() : options.refetchInterval;
    assert.deepEqual([before, after, own].map(interval), [3_000, 3_000, 70_000]);
    await live();
    assert.deepEqual([before, after, own].map(interval), [false, false, 70_000]);
    hub.become("polling", true);
    hub.frame();
    assert.deepEqual([before, after].map(interval), [3_000, 3_000]);
    ends.shift();
  });

  it("keeps the query of a content current, and polls it only until it has ended", async () => {
    const options = contentQueryOptions("a", { url: "http://hub.example" });
    const interval = () =>
      options.refetchInterval({ state: { data: /** @type {any} */ (client.getQueryData(options.queryKey)) } });
    await sync();
    client.setQueryData(options.queryKey, { id: "a", status: "generating" });
    assert.equal(interval(), 3_000);
    hub.put("drafts", "a", "generating", { progress: 5 });
    await live();
    assert.deepEqual(client.getQueryData(options.queryKey), { id: "a", ...said("a", "generating", { progress: 5 }) });
    assert.equal(interval(), false);
    hub.become("offline", true);
    hub.frame();
    assert.equal(interval(), 3_000);
    hub.put("drafts", "a", "complete");
    hub.frame();
    assert.equal(interval(), false);
  });

  it("asks for one content", async () => {
    /** @type {any[]} */
    const asked = [];
    const request = async (/** @type {any} */ address, /** @type {any} */ { body }) => {
      asked.push([String(address), JSON.parse(body)]);
      return Response.json({ statuses: [{ id: "a", status: asked.length > 1 ? "not_found" : "generating" }] });
    };
    const options = contentQueryOptions("a", { url: "http://hub.example", fetch: /** @type {any} */ (request) });
    assert.deepEqual(await options.queryFn(), { id: "a", status: "generating" });
    assert.equal(await options.queryFn(), null);
    assert.deepEqual(asked[0], ["http://hub.example/api/contents/status/batch", { content_ids: ["a"] }]);
  });
});
