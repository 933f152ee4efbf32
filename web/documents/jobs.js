/** The jobs of the hub, as they are. */

import { follow } from "./events.js";

const BASE = new URL("../../", import.meta.url);

/** A job as the pages show it; times are in milliseconds. @param {Record<string, any>} content */
function job(content) {
  const began = Date.parse(content.started_at ?? "");
  const ended = Date.parse(content.ended_at ?? "");
  const over = content.current ?? 0;
  const failed = content.failed ?? 0;
  return {
    id: content.content_id,
    name: content.job,
    phase: PHASES[content.status] ?? "processing",
    progress: content.progress ?? 0,
    total: content.total ?? 0,
    over,
    failed,
    succeeded: over - failed,
    calls: content.sums?.calls,
    created: Date.parse(content.created_at ?? content.timestamp ?? ""),
    began,
    ended,
    /** Of an item, pauses included. */
    mean: over && !Number.isNaN(began) ? ((Number.isNaN(ended) ? Date.now() : ended) - began) / over : undefined,
    remaining: content.remaining_seconds,
    error: content.error_message,
  };
}

/** @type {Record<string, string>} */
const PHASES = { pending: "pending", idle: "pending", generating: "processing", complete: "completed", error: "failed" };

/** @fires Jobs#change  the jobs, or the state of the connection, are others now */
export class Jobs extends EventTarget {
  #jobs = new Map();
  #scheduled = false;
  state = "connecting";
  /** Everything that there is has come once. */
  ready = false;

  constructor() {
    super();
    follow("jobs", {
      content: (content) => {
        if (typeof content.job !== "string") return;
        this.#jobs.set(content.content_id, job(content));
        this.#changed();
      },
      removed: (id) => this.#jobs.delete(id) && this.#changed(),
      reset: () => {
        this.#jobs.clear();
        this.#changed();
      },
      ready: () => {
        this.ready = true;
        this.#changed();
      },
      state: (state) => {
        this.state = state;
        this.#changed();
      },
    }, BASE);
  }

  /** @param {string} id */
  get(id) {
    return this.#jobs.get(id);
  }

  /** The jobs, those that run first, then the latest. */
  all() {
    const rank = (/** @type {ReturnType<typeof job>} */ it) => (it.phase === "processing" ? 0 : it.phase === "pending" ? 1 : 2);
    return [...this.#jobs.values()].sort((a, b) => rank(a) - rank(b) || b.created - a.created);
  }

  /** Once for many changes that come together. */
  #changed() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      this.dispatchEvent(new Event("change"));
    }, 50);
  }
}
