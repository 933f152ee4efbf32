/** The stream, as the machine has it. */
import { NEVER } from "./machine-state.js";

/** @typedef {import("./machine-state.js").Machine} Machine */

/** Deadline for the first event. A stream begins with its state immediately; silence means that a proxy buffers it. */
export const OPEN_MS = 5_000;

/**
 * Whether there is a stream that may say something.
 * @param {Machine} machine
 */
export function isOpen({ stream }) {
  return stream === "opening" || stream === "live";
}

/**
 * @param {Machine} machine
 * @param {boolean} [seamless]
 */
export function open(machine, seamless = false) {
  machine.stream = "opening";
  machine.seamless = seamless;
  machine.streamAt = machine.now + OPEN_MS;
  machine.effects.push({ do: "open", deltas: machine.deltas });
}

/**
 * A new stream in the place of one that works: pages are not told.
 * @param {Machine} machine
 */
export function replace(machine) {
  open(machine, machine.seamless || machine.stream === "live");
}

/** @param {Machine} machine */
export function drop(machine) {
  if (isOpen(machine)) machine.effects.push({ do: "drop" });
  machine.stream = "none";
  machine.seamless = false;
  machine.streamAt = NEVER;
}

/**
 * @param {Machine} machine
 * @param {number} milliseconds
 */
export function pause(machine, milliseconds) {
  drop(machine);
  machine.stream = "waiting";
  machine.streamAt = machine.now + milliseconds;
}
