/** The polls, as the machine has them once they are loaded. */

/** @typedef {import("./machine-state.js").Machine} Machine */

/** Deadline for the answer to a poll. */
const ANSWER_MS = 20_000;

/** How long a long poll waits at the hub: its maximum. */
const WAIT_SECONDS = 25;

/** Least time between the beginnings of two long polls, which are answered immediately where much happens. */
const LONG_PACE_MS = 1_000;

/** A long poll that is answered with nothing, and sooner than this, was not waited for: the hub has no room for it. */
const WAITED_MS = 5_000;

/** After a long poll failed, only short ones are tried for so long: a proxy may allow no longer answers. */
const SHORT_ONLY_MS = 120_000;

/** Between short polls: while a content is in progress, and else. */
const BUSY_POLL_MS = 3_000;
const IDLE_POLL_MS = 10_000;

/** Exponential back-off after failures: a restart takes seconds, an outage minutes. */
const BACKOFF_MS = 3_000;
const BACKOFF_MAX_MS = 30_000;

/** The same while the hub refuses: only other credentials help, which are rare. */
const REFUSED_MAX_MS = 120_000;

/**
 * Begins: with a pause after a failure that the first poll would repeat. The polls notice its end.
 * @param {Machine} machine
 * @param {import("./machine-state.js").Failure} failure
 */
export function begin(machine, failure) {
  if (!failure.reason) return ask(machine);
  if (machine.stream === "none") machine.streamAt = Infinity;
  failed(machine, failure);
}

/**
 * Begins a poll, unless the page is hidden.
 * @param {Machine} machine
 */
export function ask(machine) {
  const { now, askedAt } = machine;
  machine.polls = "waiting";
  machine.pollsAt = Infinity;
  if (!machine.attentive) return;
  machine.long = machine.answered && !machine.failures && now >= machine.shortUntil;
  const wait = machine.long ? WAIT_SECONDS : 0;
  const interval = Math.min(Math.max(now - askedAt, 0), WAIT_SECONDS * 1_000);
  machine.polls = "asking";
  machine.askedAt = now;
  machine.pollsAt = now + wait * 1_000 + ANSWER_MS;
  machine.effects.push({ do: "ask", wait, interval, failed: machine.unreported });
}

/**
 * It is time for the next poll, or too late for the answer to the last one.
 * @param {Machine} machine
 */
export function late(machine) {
  if (machine.polls !== "asking") return ask(machine);
  machine.effects.push({ do: "stop" });
  failed(machine);
}

/**
 * The poll was answered.
 * @param {Machine} machine
 * @param {{ events: number, busy?: boolean, wait?: number }} answer
 * @returns {boolean} whether polls failed before
 */
export function answered(machine, { events, busy, wait = 0 }) {
  const { now, askedAt } = machine;
  const recovered = machine.failures > 0;
  if (machine.long && !events && now - askedAt < WAITED_MS) machine.shortUntil = now + SHORT_ONLY_MS;
  machine.answered = true;
  machine.failures = machine.unreported = 0;
  machine.failure = {};
  const interval = jittered(machine, busy ? BUSY_POLL_MS : IDLE_POLL_MS);
  after(machine, Math.max(wait, now >= machine.shortUntil ? askedAt + LONG_PACE_MS - now : interval, 0));
  return recovered;
}

/**
 * The poll failed.
 * @param {Machine} machine
 * @param {import("./machine-state.js").Failure} [failure]
 */
export function failed(machine, failure = {}) {
  const { refused, wait = 0 } = failure;
  if (machine.polls === "asking" && machine.long) machine.shortUntil = machine.now + SHORT_ONLY_MS;
  const delay = Math.min(BACKOFF_MS * 2 ** machine.failures, refused ? REFUSED_MAX_MS : BACKOFF_MAX_MS);
  machine.failures += 1;
  machine.failure = failure;
  // The polls notice when the hub refuses no longer.
  if (refused && machine.stream === "none") machine.streamAt = Infinity;
  after(machine, Math.max(wait, jittered(machine, delay)));
}

/**
 * The next poll is due after a time; where the page is hidden, once it is shown.
 * @param {Machine} machine
 * @param {number} milliseconds
 */
function after(machine, milliseconds) {
  machine.polls = "waiting";
  machine.pollsAt = machine.attentive ? machine.now + milliseconds : Infinity;
}

/**
 * @param {Machine} machine
 * @param {number} milliseconds
 */
function jittered({ random }, milliseconds) {
  return milliseconds * (0.9 + 0.2 * random);
}
