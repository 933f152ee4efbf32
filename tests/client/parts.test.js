/** The parts that have rules of their own: the parser of streams, credentials, patterns. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Credentials } from "../../web/client/credentials.js";
import { Parser } from "../../web/client/stream.js";
import { namedBy } from "../../web/client/topics.js";

/** @param {string[]} chunks */
function parsed(chunks) {
  /** @type {[string, string, string][]} */
  const events = [];
  const parser = new Parser((type, id, data) => events.push([type, id, data]));
  for (const chunk of chunks) parser.feed(chunk);
  return events;
}

test("a stream is read as HTML says, however it is cut", () => {
  for (const end of ["\n", "\r\n", "\r"]) {
    const lines = [
      "retry: 10",
      "event: a",
      "data: {}",
      "id: e-1",
      "",
      ": comment",
      "",
      "data:b",
      "data: c",
      "",
      "data: d",
      "id",
      "",
      "event: lost",
    ];
    const text = lines.join(end);
    const expected = [
      ["a", "e-1", "{}"],
      ["message", "e-1", "b\nc"],
      ["message", "", "d"],
    ];
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 8 }), (cuts) => {
        const places = [0, ...cuts.sort((one, other) => one - other), text.length];
        assert.deepEqual(parsed(places.slice(1).map((place, at) => text.slice(places[at], place))), expected);
      }),
    );
  }
});

test("characters that other languages end lines at are data", () => {
  assert.deepEqual(parsed(["data: a\u2028b\u0085c\n\n"]), [["message", "", "a\u2028b\u0085c"]]);
});

test("a ticket is new for each stream, and kept for polls", async () => {
  let given = 0;
  const credentials = new Credentials({ ticket: async () => `t${(given += 1)}` });
  assert.deepEqual(await credentials.next({ fresh: true }), { ticket: "t1" });
  assert.deepEqual(await credentials.next(), { ticket: "t1" });
  assert.deepEqual(await credentials.next({ fresh: true }), { ticket: "t2" });
});

test("a grant that was accepted before is renewed when it is refused, one that never was is not, without end", async () => {
  let given = 0;
  const credentials = new Credentials({ token: () => `t${(given += 1)}` });
  const first = await credentials.next();
  credentials.taken();
  assert.equal(credentials.refused(first), true);
  const second = await credentials.next();
  assert.deepEqual(second, { token: "t2" });
  // Of an earlier request, whose answer was late.
  assert.equal(credentials.refused(first), true);
  assert.deepEqual(await credentials.next(), second);
  assert.equal(credentials.refused(second), false);
  assert.deepEqual(await credentials.next(), { token: "t3" });
});

test("a function that gives nothing is the page's error", async () => {
  const credentials = new Credentials({ ticket: () => "" });
  await assert.rejects(credentials.next(), { message: "The page's ticket function returned no ticket" });
});

test("patterns are those of the hub", () => {
  const named = (/** @type {string} */ topic, /** @type {string} */ channel) => namedBy(topic)(channel);
  assert.ok(named("jobs/*", "jobs/a") && named("jobs/**", "jobs/a/b") && named("**", "any/thing"));
  assert.ok(!named("jobs/*", "jobs/a/b") && !named("jobs/*", "other/a") && !named("a.c/*", "abc/d"));
  assert.ok(named("a*z", "abcz") && named("(a)/*", "(a)/b") && named("jobs", "jobs") && !named("jobs", "jobs/a"));
});
