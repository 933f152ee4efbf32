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
 * While the page is hidden, polls pause, and after a minute (or immediately where the page goes into the
 * back-forward cache) the machine sleeps: it lets go of everything, and begins again from the cursor when it is looked
 * at. What pages are told follows from both regions, see `stateOf`.
 */

/** Deadline for the first event. A stream begins with its state immediately; silence means that a proxy buffers it. */
const OPEN_MS = 5_000;

/** The hub's default, until its `ready` tells its heartbeat. */
const HEARTBEAT_MS = 15_000;

/** Silence after which the connection counts as dead, in heartbeats: two are missing then. */
const SILENCE_FACTOR = 2.5;

/** Losses in a row before the page polls. A single one is how every restart and change of network looks. */
const LOSSES_MAX = 3;

/** Before a lost stream is opened again: least, and what a random share of is added, lest all come in one second. */
const REOPEN_MS = [500, 2_500];

/** Longest pause that the hub can ask for without polls meanwhile. */
const PAUSE_MAX_MS = 10_000;

/** Between attempts to return from polls to the stream: the first, doubled with each up to the last. Jittered. */
const PROBE_MS = 10_000;
const PROBE_MAX_MS = 300_000;

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

/** How long a hidden page keeps its stream. */
const LET_GO_MS = 60_000;

const NEVER = Infinity;

/**
 * @typedef {"connecting" | "live" | "reconnecting" | "polling" | "offline" | "refused" | "closed"} State
 *
 * @typedef {object} Failure   why there is no answer
 * @property {string} [reason] in words
 * @property {boolean} [refused]  the hub refuses: a repetition would change nothing
 * @property {number} [wait]   milliseconds that the hub asks to wait
 *
 * @typedef {object} Machine
 * @property {"idle" | "on" | "asleep" | "closed"} mode
 * @property {boolean} streams    whether streams are tried at all
 * @property {"none" | "opening" | "live" | "waiting"} stream
 * @property {boolean} seamless   a live stream is being replaced: pages are not told
 * @property {boolean} deltas     whether the stream may say only what changed
 * @property {boolean} met        whether a stream was live before
 * @property {number} losses      in a row
 * @property {number} probes      that failed in a row
 * @property {number} unreported  attempts to go live that failed, and of which the hub has not been told
 * @property {number} silence     milliseconds after which a stream counts as dead
 * @property {"off" | "waiting" | "asking"} polls
 * @property {boolean} long       whether the poll that runs is a long one
 * @property {number} failures    of polls in a row
 * @property {boolean} answered   whether a poll was answered since polls began
 * @property {string} reason
 * @property {boolean} refused
 * @property {boolean} busy       whether a content is in progress
 * @property {boolean} attentive  whether the page is visible, or waits for something
 * @property {boolean} online     as the browser says
 * @property {number} askedAt     when the last poll began
 * @property {number} shortUntil  until when long polls are not tried
 * @property {number} deadline    for something to be heard of the stream
 * @property {number} reopenAt
 * @property {number} probeAt
 * @property {number} pollAt
 * @property {number} answerBy
 * @property {number} letGoAt
 *
 * @typedef {{ type: "start" | "opened" }
 *   | { type: "heard", ready?: boolean, heartbeat?: number }
 *   | { type: "lost", final: boolean, again?: boolean, failure?: Failure }
 *   | { type: "drained", retry: number }
 *   | { type: "misfit" }
 *   | { type: "answered", events: number, wait?: number }
 *   | { type: "failed", failure?: Failure }
 *   | { type: "busy", busy: boolean }
 *   | { type: "attention", attentive: boolean }
 *   | { type: "network", online: boolean }
 *   | { type: "topics", empty: boolean }
 *   | { type: "sleep" | "wake" | "retry" | "tick" | "close" }} Event
 *
 * @typedef {{ do: "open", deltas: boolean }
 *   | { do: "drop" }
 *   | { do: "ask", wait: number, interval: number, failed: number }
 *   | { do: "stop" }} Effect
 *   open a stream in the place of one that there may be, drop it, poll, stop the poll that runs
 */

/**
 * @param {{ streams?: boolean }} [options]
 * @returns {Machine}
 */
export function created({ streams = true } = {}) {
  return {
    mode: "idle",
    streams,
    stream: "none",
    seamless: false,
    deltas: true,
    met: false,
    losses: 0,
    probes: 0,
    unreported: 0,
    silence: HEARTBEAT_MS * SILENCE_FACTOR,
    polls: "off",
    long: false,
    failures: 0,
    answered: false,
    reason: "",
    refused: false,
    busy: false,
    attentive: true,
    online: true,
    askedAt: -NEVER,
    shortUntil: -NEVER,
    deadline: NEVER,
    reopenAt: NEVER,
    probeAt: NEVER,
    pollAt: NEVER,
    answerBy: NEVER,
    letGoAt: NEVER,
  };
}

/**
 * What a page is told. @param {Machine} machine @returns {State}
 */
export function stateOf({ mode, stream, seamless, polls, refused, failures, online, met }) {
  if (mode === "closed") return "closed";
  if (stream === "live" || (stream === "opening" && seamless)) return "live";
  if (polls !== "off" && refused) return "refused";
  if (polls !== "off") return failures ? "offline" : "polling";
  if (!online) return "offline";
  return met ? "reconnecting" : "connecting";
}

/**
 * When the machine wants a `tick`; Infinity where it does not. @param {Machine} machine
 */
export function dueAt({ deadline, reopenAt, probeAt, pollAt, answerBy, letGoAt }) {
  return Math.min(deadline, reopenAt, probeAt, pollAt, answerBy, letGoAt);
}

/**
 * One step of the machine.
 * @param {Machine} before  it is not changed
 * @param {Event} event
 * @param {number} now      milliseconds of a clock that never goes back
 * @param {number} random   from 0 to 1
 * @returns {{ machine: Machine, effects: Effect[] }}
 */
export function step(before, event, now, random) {
  const turn = new Turn({ ...before }, now, random);
  if (before.mode !== "closed") turn.take(event);
  return { machine: turn.machine, effects: turn.effects };
}

class Turn {
  /** @type {Effect[]} */
  effects = [];

  /**
   * @param {Machine} machine
   * @param {number} now
   * @param {number} random
   */
  constructor(machine, now, random) {
    this.machine = machine;
    this.now = now;
    this.random = random;
  }

  /** @param {Event} event */
  take(event) {
    const { machine } = this;
    switch (event.type) {
      case "start":
        return machine.mode === "idle" ? this.begin() : undefined;
      case "opened":
        // The page's ticket function has taken its time.
        if (machine.stream === "opening") machine.deadline = this.now + OPEN_MS;
        return;
      case "heard":
        return this.heard(event);
      case "lost":
        return this.lost(event);
      case "drained":
        return this.drained(event.retry);
      case "misfit":
        return this.misfit();
      case "answered":
        return this.answered(event);
      case "failed":
        return machine.polls === "asking" ? this.settle(event.failure) : undefined;
      case "busy":
        machine.busy = event.busy;
        return;
      case "attention":
        return event.attentive ? this.attend() : this.ignore();
      case "network":
        return this.network(event.online);
      case "topics":
        return event.empty ? this.rest("idle") : this.follow();
      case "sleep":
        return machine.mode === "on" ? this.rest("asleep") : undefined;
      case "wake":
        return machine.mode === "asleep" ? this.begin() : this.tick();
      case "retry":
        return this.retry();
      case "tick":
        return this.tick();
      case "close":
        return this.rest("closed");
    }
  }

  begin() {
    this.machine.mode = "on";
    if (this.machine.streams) this.open();
    else this.startPolls();
  }

  /** @param {boolean} [seamless] */
  open(seamless = false) {
    const { machine } = this;
    machine.stream = "opening";
    machine.seamless = seamless;
    machine.reopenAt = machine.probeAt = NEVER;
    machine.deadline = this.now + OPEN_MS;
    this.effects.push({ do: "open", deltas: machine.deltas });
  }

  drop() {
    const { machine } = this;
    if (machine.stream === "opening" || machine.stream === "live") this.effects.push({ do: "drop" });
    machine.stream = "none";
    machine.seamless = false;
    machine.deadline = machine.reopenAt = machine.probeAt = NEVER;
  }

  /** @param {{ ready?: boolean, heartbeat?: number }} event */
  heard({ ready, heartbeat }) {
    const { machine } = this;
    if (machine.stream !== "opening" && machine.stream !== "live") return;
    machine.stream = "live";
    machine.seamless = false;
    machine.met = true;
    machine.losses = machine.unreported = 0;
    if (heartbeat) machine.silence = heartbeat * SILENCE_FACTOR;
    machine.deadline = this.now + machine.silence;
    this.stopPolls();
    if (!ready) return;
    machine.probes = 0;
    if (machine.deltas) return;
    // The whole states that were asked for are here.
    machine.deltas = true;
    this.open(true);
  }

  /** @param {{ final: boolean, again?: boolean, failure?: Failure }} event */
  lost({ final, again, failure }) {
    const { machine } = this;
    if (machine.stream !== "opening" && machine.stream !== "live") return;
    // Most likely a ticket has run out.
    if (again) return this.open();
    machine.losses += 1;
    if (final || machine.losses >= LOSSES_MAX || machine.polls !== "off") return this.fallBack({ failure });
    const [least, more] = REOPEN_MS;
    this.pause(failure?.wait || least + more * this.random);
  }

  /** @param {number} retry */
  drained(retry) {
    if (this.machine.stream === "none") return;
    // Where the pause is long, the page polls meanwhile.
    if (retry > PAUSE_MAX_MS) this.fallBack({ probe: retry });
    else this.pause(retry);
  }

  /** @param {number} milliseconds */
  pause(milliseconds) {
    this.drop();
    this.machine.stream = "waiting";
    this.machine.reopenAt = this.now + milliseconds;
  }

  /** The cursor still stands before the delta that did not fit: the next stream begins with whole states. */
  misfit() {
    const { machine } = this;
    if (machine.stream !== "opening" && machine.stream !== "live") return;
    machine.deltas = false;
    this.open(machine.stream === "live" || machine.seamless);
  }

  /** @param {{ failure?: Failure, probe?: number }} [why] */
  fallBack({ failure, probe } = {}) {
    const { machine } = this;
    this.drop();
    machine.losses = 0;
    machine.unreported += 1;
    // Polls go on beside a probe that fails. The reason of another failure is theirs, too, and they notice its end.
    const told = failure?.reason && machine.polls === "off";
    if (machine.polls === "off") this.startPolls(failure);
    if (told || machine.refused) return;
    const delay = Math.min(PROBE_MS * 2 ** machine.probes, PROBE_MAX_MS) * (0.8 + 0.4 * this.random);
    machine.probes += 1;
    machine.probeAt = this.now + (probe ?? delay);
  }

  /** @param {Failure} [failure]  of the stream, which the first poll would repeat: it waits as after its own */
  startPolls(failure) {
    const { machine } = this;
    machine.polls = "waiting";
    machine.failures = 0;
    machine.answered = false;
    if (failure?.reason) this.settle(failure);
    else this.ask();
  }

  stopPolls() {
    const { machine } = this;
    if (machine.polls === "asking") this.effects.push({ do: "stop" });
    machine.polls = "off";
    machine.failures = 0;
    machine.reason = "";
    machine.refused = false;
    machine.pollAt = machine.answerBy = NEVER;
  }

  ask() {
    const { machine } = this;
    machine.pollAt = NEVER;
    if (!machine.attentive) return;
    machine.long = machine.answered && !machine.failures && this.now >= machine.shortUntil;
    const wait = machine.long ? WAIT_SECONDS : 0;
    const interval = Math.min(Math.max(this.now - machine.askedAt, 0), WAIT_SECONDS * 1_000);
    machine.polls = "asking";
    machine.askedAt = this.now;
    machine.answerBy = this.now + wait * 1_000 + ANSWER_MS;
    this.effects.push({ do: "ask", wait, interval, failed: machine.unreported });
  }

  /** @param {{ events: number, wait?: number }} answer */
  answered({ events, wait = 0 }) {
    const { machine } = this;
    if (machine.polls !== "asking") return;
    const recovered = machine.failures > 0;
    if (machine.long && !events && this.now - machine.askedAt < WAITED_MS)
      machine.shortUntil = this.now + SHORT_ONLY_MS;
    machine.polls = "waiting";
    machine.answered = true;
    machine.failures = machine.unreported = 0;
    machine.reason = "";
    machine.refused = false;
    machine.answerBy = NEVER;
    const pace = machine.askedAt + LONG_PACE_MS - this.now;
    const interval = (machine.busy ? BUSY_POLL_MS : IDLE_POLL_MS) * (0.9 + 0.2 * this.random);
    this.pollAfter(Math.max(wait, this.now >= machine.shortUntil ? pace : interval, 0));
    // An attempt that has begun before may wait for what was not there.
    if (recovered && machine.streams) this.open();
  }

  /** @param {Failure} [failure] */
  settle({ reason = "", refused = false, wait = 0 } = {}) {
    const { machine } = this;
    if (machine.polls === "asking" && machine.long) machine.shortUntil = this.now + SHORT_ONLY_MS;
    machine.polls = "waiting";
    machine.failures += 1;
    machine.reason = reason;
    machine.refused = refused;
    machine.answerBy = NEVER;
    if (refused) machine.probeAt = NEVER;
    const most = refused ? REFUSED_MAX_MS : BACKOFF_MAX_MS;
    const delay = Math.min(BACKOFF_MS * 2 ** (machine.failures - 1), most);
    this.pollAfter(Math.max(wait, delay * (0.9 + 0.2 * this.random)));
  }

  /** @param {number} milliseconds */
  pollAfter(milliseconds) {
    this.machine.pollAt = this.machine.attentive ? this.now + milliseconds : NEVER;
  }

  attend() {
    const { machine } = this;
    const before = machine.attentive;
    machine.attentive = true;
    machine.letGoAt = NEVER;
    if (machine.mode === "asleep") return this.begin();
    if (!before && machine.polls === "waiting") this.ask();
    this.tick();
  }

  ignore() {
    const { machine } = this;
    if (!machine.attentive) return;
    machine.attentive = false;
    machine.pollAt = NEVER;
    if (machine.mode === "on") machine.letGoAt = this.now + LET_GO_MS;
  }

  /** @param {boolean} online */
  network(online) {
    const { machine } = this;
    machine.online = online;
    if (machine.mode !== "on") return;
    if (machine.polls === "waiting") this.ask();
    // Of a network that has changed, connections may be dead without an error.
    if (machine.streams) this.open();
  }

  /** The topics have changed. */
  follow() {
    const { machine } = this;
    if (machine.mode === "idle") return this.begin();
    if (machine.mode !== "on") return;
    if (machine.stream !== "none") this.open(machine.stream === "live" || machine.seamless);
    if (machine.polls === "off") return;
    if (machine.polls === "asking") this.effects.push({ do: "stop" });
    machine.polls = "waiting";
    machine.answerBy = NEVER;
    machine.answered = false;
    this.ask();
  }

  /** @param {"idle" | "asleep" | "closed"} mode */
  rest(mode) {
    this.drop();
    this.stopPolls();
    this.machine.mode = mode;
    this.machine.letGoAt = NEVER;
    this.machine.losses = 0;
  }

  retry() {
    const { machine } = this;
    if (machine.mode === "idle") return;
    this.drop();
    this.stopPolls();
    machine.losses = machine.probes = 0;
    this.begin();
  }

  tick() {
    const { machine, now } = this;
    if (now >= machine.letGoAt) return this.rest("asleep");
    if (now >= machine.answerBy) {
      this.effects.push({ do: "stop" });
      this.settle();
    }
    if (now >= machine.deadline) this.silent();
    if (now >= machine.reopenAt || now >= machine.probeAt) this.open();
    if (now >= machine.pollAt) this.ask();
  }

  silent() {
    const { machine } = this;
    if (machine.stream === "opening") return this.fallBack();
    machine.losses += 1;
    this.open();
  }
}
