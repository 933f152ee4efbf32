/** What is known of contents, whatever the order in which their states come. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { View } from "../../web/client/view.js";

/** @param {string} id @param {string} content_id @param {Record<string, unknown>} [data] */
const message = (id, content_id, data, type = "content_status_update") => ({
  id,
  type,
  data: { content_id, channel_id: "c", status: "generating", ...data },
});

test("no older state replaces a newer one, of the same epoch or another", () => {
  const view = new View();
  view.apply(message("e2-5", "a", { progress: 5 }));
  for (const id of ["e2-5", "e2-4", "e1-9", "e-9"])
    assert.equal(view.apply(message(id, "a", { progress: 0 })), undefined);
  assert.equal(view.get("a")?.data.progress, 5);
  assert.equal(view.apply(message("e1-9", "b")), undefined);
  view.apply(message("e10-1", "b"));
  assert.equal(view.get("b")?.cursor, "e10-1");
});

test("what was removed does not come back by an older state", () => {
  const view = new View();
  view.apply(message("e-1", "a"));
  assert.deepEqual(view.apply(message("e-3", "a", {}, "content_removed")), { kind: "removed", id: "a", channel: "c" });
  assert.equal(view.apply(message("e-2", "a")), undefined);
  assert.equal(view.get("a"), undefined);
  view.apply(message("e-4", "a"));
  assert.equal(view.get("a")?.cursor, "e-4");
});

test("a delta makes a new state, and one that does not build on what is here says so", () => {
  const view = new View();
  const delta = { back: 1, append: { text: " is old" }, status: undefined };
  assert.equal(view.apply(message("e-2", "a", delta, "content_delta")), "misfit");
  view.apply(message("e-1", "a", { text: "The sea" }));
  const before = view.get("a");
  view.apply(message("e-2", "a", delta, "content_delta"));
  assert.equal(view.get("a")?.data.text, "The sea is old");
  assert.equal(view.get("a")?.type, "content_status_update");
  assert.equal(before?.data.text, "The sea");
  assert.equal(view.apply(message("e-2", "a", delta, "content_delta")), undefined);
  assert.equal(view.apply(message("e-4", "a", delta, "content_delta")), "misfit");
  assert.equal(view.get("a")?.data.text, "The sea is old");
});

test("a list has the newest change first, and is the same while nothing changes", () => {
  const view = new View();
  for (const [id, content_id] of [
    ["e-3", "a"],
    ["e-1", "b"],
    ["e-2", "d"],
  ]) {
    view.apply(message(id, content_id));
  }
  const ids = () => view.list("c").map(({ id }) => id);
  assert.deepEqual(ids(), ["a", "d", "b"]);
  assert.equal(view.list("c"), view.list("c"));
  assert.equal(view.list(), view.list());
  const [list, kept] = [view.list("c"), view.get("a")];
  view.apply(message("e-4", "b"));
  assert.deepEqual(ids(), ["b", "a", "d"]);
  assert.notEqual(view.list("c"), list);
  assert.equal(view.get("a"), kept);
  assert.throws(() => /** @type {any} */ (view.list("c")).push(1), TypeError);
});

test("after a reset, what was there stays until the new state is whole", () => {
  const view = new View();
  view.apply(message("e-8", "a"));
  view.apply(message("e-9", "b"));
  view.void(() => true, true);
  view.apply(message("e-1", "a", { progress: 1 }));
  assert.deepEqual([...view.list("c")].map(({ id }) => id).sort(), ["a", "b"]);
  view.settle(() => true);
  assert.deepEqual(
    view.list("c").map(({ id, data }) => [id, data.progress]),
    [["a", 1]],
  );
});

test("what is no status is none", () => {
  const view = new View();
  for (const data of [null, [], "text", { content_id: 7 }]) {
    assert.equal(view.apply({ id: "e-1", type: "content_status_update", data: /** @type {any} */ (data) }), undefined);
  }
  assert.deepEqual(view.list(), []);
});

test("a name of the language is a name like any other", () => {
  const view = new View();
  view.apply(message("e-1", "__proto__", { status: "constructor" }));
  assert.equal(view.get("__proto__")?.phase, "processing");
  assert.equal(view.get("constructor"), undefined);
});
