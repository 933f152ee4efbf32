/** What the dashboard has seen of a content, in the order in which it saw it. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../../web/dashboard/history.js";

test("no step and no sample goes back in time, whatever the clocks of producers say", () => {
  const history = new History();
  /** @type {(at: number, progress: number, step: string, ended?: boolean) => void} */
  const seen = (at, progress, step, ended = false) => history.record("a", { at, progress, step, ended });
  seen(5_000, 10, "validating");
  seen(4_500, 40, "importing");
  seen(4_800, 60, "importing");
  seen(6_000, 81, "importing", true);
  const { steps, samples } = history.of("a");
  assert.deepEqual(steps, [
    { name: "validating", began: 5_000, ended: 5_000 },
    { name: "importing", began: 5_000, ended: 6_000 },
  ]);
  assert.deepEqual(samples, [
    [5_000, 10],
    [5_000, 40],
    [5_000, 60],
    [6_000, 81],
  ]);
});
