/** The state machine, event by event, with a clock of the test. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { created, dueAt, stateOf } from "../../web/client/machine-state.js";
import { step } from "../../web/client/machine.js";
import * as region from "../../web/client/poll-region.js";

/** A machine with its clock. */
class Driven {
  now = 0;
  random = 0.5;

  /** @param {Partial<import("../../web/client/machine-state.js").Machine>} [options] */
  constructor(options) {
    this.machine = created({ region, ...options });
  }

  /**
   * Takes an event, and returns what the machine does: the names of its effects.
   * @param {import("../../web/client/machine.js").Event} event
   */
  take(event) {
    this.machine = step(this.machine, event, this.now, this.random);
    return this.machine.effects.map((effect) => effect.do);
  }

  /** Time passes, in which the machine is called when it wants to. @param {number} ms @returns {string[]} its effects */
  pass(ms) {
    const end = this.now + ms;
    const effects = [];
    while (dueAt(this.machine) <= end) {
      this.now = Math.max(this.now, dueAt(this.machine));
      effects.push(...this.take({ type: "tick" }));
    }
    this.now = end;
    return effects;
  }

  get state() {
    return stateOf(this.machine);
  }
}

/** @param {{ streams?: boolean }} [options] */
function started(options) {
  const driven = new Driven(options);
  driven.take({ type: "topics", empty: false });
  return driven;
}

function live() {
  const driven = started();
  driven.take({ type: "heard", ready: true, heartbeat: 15_000 });
  return driven;
}

/** One whose stream was silent, and whose polls are answered. */
function polling() {
  const driven = started();
  driven.pass(5_000);
  driven.take({ type: "answered", events: 0 });
  return driven;
}

describe("the stream", () => {
  test("is opened, and live when it is heard", () => {
    const driven = new Driven();
    assert.equal(driven.state, "connecting");
    assert.deepEqual(driven.take({ type: "topics", empty: false }), ["open"]);
    assert.equal(driven.state, "connecting");
    assert.deepEqual(driven.take({ type: "heard" }), []);
    assert.equal(driven.state, "live");
  });

  test("that was lost is opened again after a moment, which is no failure", () => {
    const driven = live();
    assert.deepEqual(driven.take({ type: "lost", final: false }), ["drop"]);
    assert.equal(driven.state, "reconnecting");
    assert.deepEqual(driven.pass(499), []);
    assert.deepEqual(driven.pass(3_000), ["open"]);
    driven.take({ type: "heard" });
    assert.equal(driven.state, "live");
  });

  test("that is lost three times in a row gives way to polls", () => {
    const driven = live();
    driven.take({ type: "lost", final: false });
    driven.pass(3_000);
    driven.take({ type: "lost", final: false });
    driven.pass(3_000);
    assert.equal(driven.state, "reconnecting");
    assert.deepEqual(driven.take({ type: "lost", final: false }), ["drop", "ask"]);
    assert.equal(driven.state, "polling");
  });

  test("whose losses are not in a row does not", () => {
    const driven = live();
    for (let time = 0; time < 10; time += 1) {
      driven.take({ type: "lost", final: false });
      driven.pass(3_000);
      driven.take({ type: "heard" });
    }
    assert.equal(driven.state, "live");
  });

  test("that answers with what is none gives way to polls", () => {
    const driven = started();
    assert.deepEqual(driven.take({ type: "lost", final: true }), ["drop", "ask"]);
  });

  test("is opened again where a ticket has run out", () => {
    assert.deepEqual(live().take({ type: "lost", final: true, again: true }), ["open"]);
  });

  test("that says nothing for 5 seconds gives way to polls, and a page's slow ticket does not count", () => {
    const driven = started();
    driven.pass(4_000);
    driven.take({ type: "opened" });
    assert.deepEqual(driven.pass(4_999), []);
    assert.deepEqual(driven.pass(1), ["drop", "ask"]);
  });

  test("that falls silent is replaced after two and a half heartbeats", () => {
    const driven = started();
    driven.take({ type: "heard", ready: true, heartbeat: 4_000 });
    driven.pass(9_000);
    driven.take({ type: "heard" });
    assert.deepEqual(driven.pass(9_999), []);
    assert.deepEqual(driven.pass(1), ["open"]);
    assert.equal(driven.state, "reconnecting");
  });

  test("is silent where a clock has jumped, as after a sleep", () => {
    const driven = live();
    driven.now += 3_600_000;
    assert.deepEqual(driven.take({ type: "wake" }), ["open"]);
  });

  test("that is drained comes back after the hub's pause", () => {
    const driven = live();
    assert.deepEqual(driven.take({ type: "drained", retry: 4_000 }), ["drop"]);
    assert.equal(driven.state, "reconnecting");
    assert.deepEqual(driven.pass(3_999), []);
    assert.deepEqual(driven.pass(1), ["open"]);
  });

  test("that is drained for long gives way to polls until then", () => {
    const driven = live();
    assert.deepEqual(driven.take({ type: "drained", retry: 40_000 }), ["drop", "ask"]);
    assert.equal(driven.pass(39_999).includes("open"), false);
    assert.equal(driven.pass(1).includes("open"), true);
  });

  test("with a delta that does not fit is replaced by whole states, then by deltas, and stays live", () => {
    const driven = live();
    driven.take({ type: "misfit" });
    assert.deepEqual(driven.machine.effects, [{ do: "open", deltas: false }]);
    assert.equal(driven.state, "live");
    driven.take({ type: "heard" });
    assert.deepEqual(driven.machine.effects, []);
    driven.take({ type: "heard", ready: true });
    assert.deepEqual(driven.machine.effects, [{ do: "open", deltas: true }]);
    assert.equal(driven.state, "live");
  });

  test("of other topics replaces it without a word, unless it cannot be opened", () => {
    const driven = live();
    assert.deepEqual(driven.take({ type: "topics", empty: false }), ["open"]);
    assert.equal(driven.state, "live");
    driven.take({ type: "lost", final: false });
    assert.equal(driven.state, "reconnecting");
  });

  test("of no topics is dropped, and opened for the next", () => {
    const driven = live();
    assert.deepEqual(driven.take({ type: "topics", empty: true }), ["drop"]);
    assert.deepEqual(driven.pass(600_000), []);
    assert.deepEqual(driven.take({ type: "topics", empty: false }), ["open"]);
  });

  test("is opened again when the network changes", () => {
    const driven = live();
    assert.deepEqual(driven.take({ type: "network", online: false }), ["open"]);
    assert.equal(driven.state, "offline");
    assert.deepEqual(driven.take({ type: "network", online: true }), ["open"]);
    assert.equal(driven.state, "reconnecting");
  });

  test("says nothing once it is dropped", () => {
    const driven = polling();
    for (const event of /** @type {const} */ ([
      { type: "heard", ready: true },
      { type: "lost", final: false },
      { type: "drained", retry: 1 },
      { type: "misfit" },
    ])) {
      assert.deepEqual(driven.take(event), []);
      assert.equal(driven.state, "polling");
    }
  });
});

describe("the polls", () => {
  test("are long ones after the first, with a pace", () => {
    const driven = started();
    driven.pass(5_000);
    assert.deepEqual(driven.machine.effects.at(-1), { do: "ask", wait: 0, interval: 25_000, failed: 1 });
    driven.take({ type: "answered", events: 3 });
    driven.pass(1_000);
    assert.deepEqual(driven.machine.effects, [{ do: "ask", wait: 25, interval: 1_000, failed: 0 }]);
    driven.take({ type: "answered", events: 1 });
    assert.deepEqual(driven.pass(999), []);
    assert.deepEqual(driven.pass(1), ["ask"]);
  });

  test("are short where a long one fails, and where the hub does not wait", () => {
    for (const outcome of /** @type {const} */ ([{ type: "failed" }, { type: "answered", events: 0, busy: true }])) {
      const driven = polling();
      driven.pass(1_000);
      assert.equal(driven.machine.long, true);
      driven.take(outcome);
      driven.pass(4_000);
      assert.equal(driven.machine.polls, "asking");
      assert.equal(driven.machine.long, false);
      driven.take({ type: "answered", events: 0, busy: true });
      driven.pass(3_300);
      assert.equal(driven.machine.long, false);
    }
  });

  test("come each 3 seconds while something is in progress, else each 10", () => {
    for (const [busy, interval] of /** @type {const} */ ([
      [true, 3_000],
      [false, 10_000],
    ])) {
      const driven = polling();
      driven.pass(1_000);
      driven.take({ type: "failed" });
      driven.pass(4_000);
      driven.take({ type: "answered", events: 0, busy });
      assert.equal(driven.machine.pollsAt - driven.now, interval);
    }
  });

  test("back off while they fail, and the page is offline", () => {
    const driven = started();
    driven.pass(5_000);
    const delays = [];
    for (let time = 0; time < 6; time += 1) {
      driven.take({ type: "failed", failure: { reason: "no network" } });
      assert.equal(driven.state, "offline");
      delays.push(driven.machine.pollsAt - driven.now);
      driven.machine = { ...driven.machine, stream: "none", streamAt: Infinity };
      driven.pass(delays[time]);
    }
    assert.deepEqual(delays, [3_000, 6_000, 12_000, 24_000, 30_000, 30_000]);
  });

  test("wait as long as the hub asks", () => {
    const driven = started();
    driven.pass(5_000);
    driven.take({ type: "failed", failure: { wait: 50_000 } });
    assert.equal(driven.machine.pollsAt - driven.now, 50_000);
  });

  test("have a deadline", () => {
    const driven = started();
    driven.pass(5_000);
    driven.machine = { ...driven.machine, streamAt: Infinity };
    assert.deepEqual(driven.pass(20_000), ["stop"]);
    assert.equal(driven.state, "offline");
  });

  test("try the stream again, later each time, and go on meanwhile", () => {
    const driven = polling();
    const answer = () => driven.machine.polls === "asking" && driven.take({ type: "answered", events: 1 });
    const delays = [];
    for (let time = 0; time < 7; time += 1) {
      delays.push(driven.machine.streamAt - driven.now);
      driven.now = driven.machine.streamAt;
      assert.ok(driven.take({ type: "tick" }).includes("open"));
      assert.equal(driven.state, "polling");
      answer();
      driven.now = driven.machine.streamAt;
      driven.take({ type: "tick" });
      answer();
    }
    assert.deepEqual(delays, [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
  });

  test("end when the stream is live", () => {
    const driven = polling();
    driven.pass(10_000);
    assert.equal(driven.machine.stream, "opening");
    driven.take({ type: "heard" });
    assert.equal(driven.state, "live");
    assert.equal(driven.machine.polls, "off");
    assert.deepEqual(driven.pass(30_000), []);
  });

  test("that succeed again open the stream", () => {
    const driven = polling();
    driven.pass(1_000);
    driven.take({ type: "failed" });
    driven.pass(3_300);
    assert.deepEqual(driven.take({ type: "answered", events: 0 }), ["open"]);
  });

  test("that are refused say so, and no stream is tried", () => {
    const driven = started();
    driven.take({ type: "lost", final: true });
    driven.take({ type: "failed", failure: { reason: "token expired", refused: true } });
    assert.equal(driven.state, "refused");
    assert.equal(driven.machine.failure.reason, "token expired");
    assert.equal(driven.machine.streamAt, Infinity);
    const effects = driven.pass(4_000);
    assert.deepEqual(effects, ["ask"]);
    assert.deepEqual(driven.take({ type: "answered", events: 0 }), ["open"]);
    assert.equal(driven.state, "polling");
  });

  test("of a page whose ticket function fails wait for it", () => {
    const driven = started();
    assert.deepEqual(driven.take({ type: "lost", final: true, failure: { reason: "no ticket" } }), ["drop"]);
    assert.equal(driven.state, "offline");
    assert.equal(driven.machine.failure.reason, "no ticket");
    assert.deepEqual(driven.pass(3_300), ["ask"]);
    driven.take({ type: "failed", failure: { reason: "no ticket" } });
    assert.equal(driven.pass(20_000).includes("open"), false);
  });

  test("are all there is where no stream is wanted", () => {
    const driven = started({ streams: false });
    driven.take({ type: "answered", events: 0 });
    assert.equal(driven.state, "polling");
    const effects = driven.pass(60_000);
    assert.equal(effects.includes("open"), false);
  });

  test("begin again with other topics", () => {
    const driven = polling();
    assert.deepEqual(driven.take({ type: "topics", empty: false }), ["ask"]);
    assert.deepEqual(driven.take({ type: "topics", empty: false }), ["stop", "ask"]);
  });
});

describe("a hidden page", () => {
  test("pauses its polls, and goes on immediately", () => {
    const driven = polling();
    driven.take({ type: "attention", attentive: false });
    assert.equal(driven.pass(9_000).includes("ask"), false);
    assert.deepEqual(driven.take({ type: "attention", attentive: true }), ["ask"]);
  });

  test("does not begin to poll", () => {
    const driven = live();
    driven.take({ type: "attention", attentive: false });
    assert.deepEqual(driven.take({ type: "lost", final: true }), ["drop"]);
    assert.deepEqual(driven.take({ type: "attention", attentive: true }), ["ask"]);
  });

  test("lets go of its stream after a minute, and comes back", () => {
    const driven = live();
    driven.take({ type: "attention", attentive: false });
    driven.pass(30_000);
    driven.take({ type: "heard" });
    driven.take({ type: "attention", attentive: true });
    driven.take({ type: "attention", attentive: false });
    driven.pass(30_000);
    driven.take({ type: "heard" });
    assert.deepEqual(driven.pass(29_999), []);
    assert.deepEqual(driven.pass(1), ["drop"]);
    assert.deepEqual(driven.pass(3_600_000), []);
    assert.deepEqual(driven.take({ type: "attention", attentive: true }), ["open"]);
  });

  test("that was never shown lets go of its stream after a minute, too", () => {
    const driven = new Driven({ attentive: false });
    driven.take({ type: "topics", empty: false });
    driven.take({ type: "heard", ready: true });
    driven.take({ type: "attention", attentive: false });
    assert.ok(driven.pass(60_000).includes("drop"));
    assert.equal(dueAt(driven.machine), Infinity);
    assert.deepEqual(driven.take({ type: "attention", attentive: true }), ["open"]);
  });

  test("in the back-forward cache keeps nothing, and begins again", () => {
    const driven = live();
    assert.deepEqual(driven.take({ type: "sleep" }), ["drop"]);
    assert.deepEqual(driven.take({ type: "network", online: true }), []);
    assert.deepEqual(driven.take({ type: "wake" }), ["open"]);
  });

  test("wakes from its sleep by a retry", () => {
    const driven = live();
    driven.take({ type: "sleep" });
    assert.deepEqual(driven.take({ type: "retry" }), ["open"]);
  });
});

describe("polls that are not loaded yet", () => {
  /** @param {import("../../web/client/machine-state.js").Failure} [failure] */
  function loading(failure) {
    const driven = new Driven({ region: undefined });
    driven.take({ type: "topics", empty: false });
    assert.deepEqual(driven.take({ type: "lost", final: true, failure }), ["drop", "load"]);
    return driven;
  }

  test("begin when they are", () => {
    const driven = loading();
    assert.equal(driven.state, "polling");
    assert.deepEqual(driven.take({ type: "loaded", region }), ["ask"]);
  });

  test("begin with a pause after a failure that they would repeat", () => {
    const driven = loading({ reason: "token expired", refused: true, wait: 7_000 });
    assert.equal(driven.state, "refused");
    assert.deepEqual(driven.take({ type: "loaded", region }), []);
    assert.equal(driven.state, "refused");
    assert.deepEqual(driven.pass(6_999), []);
    assert.deepEqual(driven.pass(1), ["ask"]);
  });

  test("try no stream while a failure lasts that they would repeat", () => {
    const driven = loading({ reason: "no ticket" });
    driven.take({ type: "loaded", region });
    assert.equal(driven.state, "offline");
    /** @type {string[]} */
    const effects = [];
    for (let time = 0; time < 60; time += 1) {
      for (const effect of driven.pass(1_000)) {
        effects.push(effect);
        driven.take({ type: "failed", failure: { reason: "no ticket" } });
      }
    }
    assert.deepEqual(effects, ["ask", "ask", "ask", "ask"]);
  });

  test("are loaded again with growing pauses, beside attempts to open the stream", () => {
    const driven = loading({ reason: "token expired", refused: true });
    driven.take({ type: "loaded", failure: { reason: "no network" } });
    /** @type {string[]} */
    /** @type {string[]} */
    const effects = [];
    for (let time = 0; time < 600; time += 1) {
      for (const effect of driven.pass(1_000)) {
        effects.push(effect);
        if (effect === "open") driven.take({ type: "lost", final: true });
        if (effect === "load") driven.take({ type: "loaded", failure: { reason: "no network" } });
      }
      assert.equal(driven.state, "offline", `after ${time} s`);
    }
    const count = (/** @type {string} */ name) => effects.filter((effect) => effect === name).length;
    assert.ok(count("load") >= 6 && count("load") <= 9, `${count("load")} loads`);
    assert.ok(count("open") >= 4 && count("open") <= 7, `${count("open")} streams`);
    assert.equal(driven.machine.failure.reason, "no network");
    while (!driven.pass(1_000).includes("load"));
    assert.deepEqual(driven.take({ type: "loaded", region }), ["ask"]);
  });

  test("are not missed by a stream that is live again", () => {
    const driven = loading();
    driven.take({ type: "loaded", failure: { reason: "no network" } });
    driven.pass(12_000);
    driven.take({ type: "heard", ready: true });
    assert.equal(driven.state, "live");
    assert.equal(driven.pass(30_000).includes("load"), false);
    assert.deepEqual(driven.take({ type: "loaded", region }), []);
  });
});

test("a retry opens the stream in every state", () => {
  for (const driven of [started(), live(), polling()]) {
    assert.ok(driven.take({ type: "retry" }).includes("open"));
    assert.equal(driven.machine.polls, "off");
  }
});

test("a closed machine does nothing any more", () => {
  for (const driven of [started(), live(), polling()]) {
    driven.take({ type: "close" });
    assert.equal(driven.state, "closed");
    assert.equal(dueAt(driven.machine), Infinity);
    for (const type of /** @type {const} */ (["retry", "wake", "sleep", "tick"])) {
      assert.deepEqual(driven.take({ type }), []);
    }
    assert.deepEqual(driven.take({ type: "topics", empty: false }), []);
    assert.deepEqual(driven.take({ type: "network", online: true }), []);
  }
});

test("a step changes nothing but what it returns", () => {
  const before = Object.freeze(created());
  const machine = step(before, { type: "topics", empty: false }, 0, 0);
  assert.notEqual(machine, before);
  assert.equal(before.mode, "idle");
});
