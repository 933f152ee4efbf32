/** How much pages load: a client that is too large for a page is not chosen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sizeOf } from "./sizes.js";

/** Bytes, minified and compressed by Brotli. */
const FIRST_PAGE = 6_000;
const CORE = 9_300;
const ALL = 11_500;

test("a first page loads little, and the rest on demand", async () => {
  const { brotli: first } = await sizeOf("first page");
  const { brotli: core } = await sizeOf("core");
  const { brotli: all } = await sizeOf("all");
  assert.ok(first <= FIRST_PAGE, `${first} bytes`);
  assert.ok(core <= CORE, `${core} bytes`);
  assert.ok(all <= ALL, `${all} bytes`);
});
