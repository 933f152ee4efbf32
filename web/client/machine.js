/**
 * The state machine of a connection: events and the time go in, a new machine and effects come out. It does nothing
 * itself, so that every interleaving can be tested with a clock of one's own.
 *
 * Two regions run side by side. The stream:
 *
 *                  start, retry, online                    anything heard
 *        none ───────────────────────────▶ opening ───────────────────────────▶ live
 *        ▲  ▲                               │ ▲  ▲                              │  │
 *        │  └──── nothing heard in 5 s, ────┘ │  └─── silent for 2.5 heartbeats ┘  │
 *        │        or refused: polls begin     │                                    │
 *        │                                    │ after the delay                    │ lost, or drained
 *        └──── 3 losses in a row, or a ──── waiting ◀──────────────────────────────┘
 *              long drain: polls begin
 *
 * The polls, which run where there is no stream, and go on until one is live; a probe opens it again after a delay that
 * grows with each failure:
 *
 *        off ───── the stream has failed ────▶ waiting ◀──── answered, failed ───── asking
 *         ▲                                     │    └────────── is due ──────────────▲
 *         └────────── the stream is live ───────┴─────────────────────────────────────┘
 *
 * How to poll is loaded when the stream is live, or has failed: `loading` comes before `waiting` then.
 *
 * While the page is hidden, polls pause, and after a minute (or immediately where the page goes into the
 * back-forward cache) the machine sleeps: it lets go of everything, and begins again from the cursor when it is looked
 * at. What pages are told follows from both regions, see `stateOf`.
 */

import { NEVER, SILENCE_FACTOR } from "./machine-state.js";
import { OPEN_MS, drop, isOpen, open, pause, replace } from "./stream-region.js";

/** Losses in a row before the page polls. A single one is how every restart and change of network looks. */
const LOSSES_MAX = 3;

/** Before a lost stream is opened again: least, and what a random share of is added, lest all come in one second. */
const REOPEN_MS = 500;
const REOPEN_SPREAD_MS = 2_500;

/** Longest pause that the hub can ask for without polls meanwhile. */
const PAUSE_MAX_MS = 10_000;

/** Between attempts to return from polls to the stream: the first, doubled with each up to the last. Jittered. */
const PROBE_MS = 10_000;
const PROBE_MAX_MS = 300_000;

/** Before what could not be loaded is loaded again: the first delay, doubled with each failure. */
const LOAD_MS = 3_000;

/** How long a hidden page keeps its stream. */
const LET_GO_MS = 60_000;

/**
 * @typedef {import("./machine-state.js").Machine} Machine
 * @typedef {import("./machine-state.js").Failure} Failure
 *
 * @typedef {{ type: "opened" }
 *   | { type: "heard", ready?: boolean, heartbeat?: number }
 *   | { type: "lost", again?: boolean } & import("./transport.js").Loss
 *   | { type: "drained", retry?: number }
 *   | { type: "misfit" }
 *   | { type: "loaded", region?: Machine["region"], failure?: Failure }
 *   | { type: "answered", events: number, busy?: boolean, wait?: number }
 *   | { type: "failed", failure?: Failure }
 *   | { type: "attention", attentive: boolean }
 *   | { type: "network", online: boolean }
 *   | { type: "topics", empty: boolean }
 *   | { type: "sleep" | "wake" | "retry" | "tick" | "close" }} Event
 */

/**
 * One step of the machine.
 * @param {Machine} before  it is not changed
 * @param {Event} event
 * @param {number} now      milliseconds of a clock that never goes back
 * @param {number} random   from 0 to 1
 * @returns {Machine}
 */
export function step(before, event, now, random) {
  /** @type {Machine} */
  const machine = { ...before, now, random, effects: [] };
  if (machine.mode !== "closed") /** @type {any} */ (TAKE)[event.type](machine, event);
  return machine;
}

/** @type {{ [Type in Event["type"]]: (machine: Machine, event: Extract<Event, { type: Type }>) => void }} */
const TAKE = {
  opened(machine) {
    // The page's ticket function has taken its time.
    if (machine.stream === "opening") machine.streamAt = machine.now + OPEN_MS;
  },

  heard(machine, { ready, heartbeat = 0 }) {
    if (!isOpen(machine)) return;
    machine.stream = "live";
    machine.seamless = false;
    machine.met = true;
    machine.losses = machine.unreported = 0;
    if (heartbeat > 0) machine.silence = heartbeat * SILENCE_FACTOR;
    machine.streamAt = machine.now + machine.silence;
    stop(machine);
    if (!ready) return;
    machine.probes = 0;
    if (machine.deltas) return;
    // The whole states that were asked for are here.
    machine.deltas = true;
    replace(machine);
  },

  lost(machine, { final, again, failure }) {
    if (!isOpen(machine)) return;
    // Most likely a ticket has run out.
    if (again) return open(machine);
    machine.losses += 1;
    if (final || machine.losses >= LOSSES_MAX || machine.polls !== "off") return fallBack(machine, failure);
    pause(machine, failure?.wait || REOPEN_MS + REOPEN_SPREAD_MS * machine.random);
  },

  drained(machine, { retry = 0 }) {
    if (machine.stream === "none") return;
    // Where the pause is long, the page polls meanwhile.
    if (retry > PAUSE_MAX_MS) fallBack(machine, undefined, retry);
    else pause(machine, retry);
  },

  /** The cursor still stands before the delta that did not fit: the next stream begins with whole states. */
  misfit(machine) {
    if (!isOpen(machine)) return;
    machine.deltas = false;
    replace(machine);
  },

  /** Or not: the stream may come back without. */
  loaded(machine, { region, failure = machine.failure }) {
    machine.region = region;
    if (machine.polls !== "loading") return;
    if (region) return poll(machine, failure);
    machine.failures += 1;
    machine.failure = failure;
  },

  answered(machine, answer) {
    if (machine.polls !== "asking") return;
    const recovered = machine.region?.answered(machine, answer);
    // An attempt that has begun before may wait for what was not there.
    if (recovered && machine.streams) open(machine);
  },

  failed(machine, { failure }) {
    if (machine.polls === "asking") machine.region?.failed(machine, failure);
  },

  attention(machine, { attentive }) {
    const before = machine.attentive;
    machine.attentive = attentive;
    if (attentive) {
      machine.letGoAt = NEVER;
      if (!before && machine.polls === "waiting") poll(machine);
      wake(machine);
    } else if (before && machine.mode === "on") machine.letGoAt = machine.now + LET_GO_MS;
  },

  network(machine, { online }) {
    machine.online = online;
    if (machine.mode !== "on") return;
    if (machine.polls === "waiting") poll(machine);
    // Of a network that has changed, connections may be dead without an error.
    if (machine.streams) open(machine);
  },

  /** The topics have changed. */
  topics(machine, { empty }) {
    if (empty) return rest(machine, "idle");
    if (machine.mode === "idle") return begin(machine);
    if (machine.mode !== "on") return;
    if (machine.stream !== "none") replace(machine);
    if (machine.polls === "off") return;
    if (machine.polls === "asking") machine.effects.push({ do: "stop" });
    machine.answered = false;
    poll(machine);
  },

  sleep(machine) {
    if (machine.mode === "on") rest(machine, "asleep");
  },

  wake,

  retry(machine) {
    if (machine.mode === "idle") return;
    rest(machine, "on");
    machine.probes = 0;
    begin(machine);
  },

  tick,

  close(machine) {
    rest(machine, "closed");
  },
};

/** @param {Machine} machine */
function wake(machine) {
  if (machine.mode === "asleep") begin(machine);
  else tick(machine);
}

/** Does what is due. @param {Machine} machine */
function tick(machine) {
  const { now } = machine;
  if (now >= machine.letGoAt) return rest(machine, "asleep");
  if (now >= machine.pollsAt) (machine.region?.late ?? poll)(machine);
  if (now < machine.streamAt) return;
  if (machine.stream === "opening") return fallBack(machine);
  if (machine.stream === "live") machine.losses += 1;
  open(machine);
}

/** @param {Machine} machine */
function begin(machine) {
  machine.mode = "on";
  machine.letGoAt = machine.attentive ? NEVER : machine.now + LET_GO_MS;
  if (machine.streams) open(machine);
  else poll(machine);
}

/** @param {Machine} machine @param {Machine["mode"]} mode */
function rest(machine, mode) {
  drop(machine);
  stop(machine);
  machine.mode = mode;
  machine.letGoAt = NEVER;
  machine.losses = 0;
}

/**
 * Polls, once that can be done.
 * @param {Machine} machine
 * @param {Failure} [failure]
 */
function poll(machine, failure = {}) {
  const { region } = machine;
  if (region) return region.begin(machine, failure);
  machine.polls = "loading";
  machine.pollsAt = machine.now + Math.min(LOAD_MS * 2 ** machine.failures, PROBE_MAX_MS);
  machine.failure = failure;
  machine.effects.push({ do: "load" });
}

/** Polls no longer. @param {Machine} machine */
function stop(machine) {
  if (machine.polls === "asking") machine.effects.push({ do: "stop" });
  machine.polls = "off";
  machine.pollsAt = NEVER;
  machine.answered = false;
  machine.failures = 0;
  machine.failure = {};
}

/**
 * To polls, which go on beside a probe that fails.
 * @param {Machine} machine
 * @param {Failure} [failure]  of the stream, which the first poll would repeat: it waits as after its own
 * @param {number} [probe]  milliseconds before the stream is tried again
 */
function fallBack(machine, failure, probe) {
  const begins = machine.polls === "off";
  drop(machine);
  machine.losses = 0;
  machine.unreported += 1;
  if (begins) poll(machine, failure);
  // The polls notice the end of a failure that is theirs, too.
  if (machine.region && (machine.failure.refused || (begins && machine.failure.reason))) return;
  const delay = Math.min(PROBE_MS * 2 ** machine.probes, PROBE_MAX_MS) * (0.8 + 0.4 * machine.random);
  machine.probes += 1;
  machine.streamAt = machine.now + (probe ?? delay);
}
