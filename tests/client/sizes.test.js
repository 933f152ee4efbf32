/** How much pages load: a client that is too large for a page is not chosen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sizeOf } from "./sizes.js";

/** Bytes, minified and compressed by Brotli. */
const FIRST_PAGE = 6_900;
const ALL = 11_600;

test("a first page loads little, and the rest on demand", async () => {
  const first = await sizeOf("index.js");
  const all = await sizeOf("index.js", { all: true });
  assert.ok(first.brotli <= FIRST_PAGE, `${first.brotli} bytes`);
  assert.ok(all.brotli <= ALL, `${all.brotli} bytes`);
});
