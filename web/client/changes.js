/** Changes for `for await`: a slow reader gets the last state of each content, so that no more is kept than there is. */

/** @typedef {import("./view.js").Change} Change */

/** @param {import("./hub.js").Hub} hub */
export function changesOf(hub) {
  return new Changes(hub).read();
}

class Changes {
  /** By content, or what else it is. @type {Map<string, Change>} */
  #waiting = new Map();
  #wake = () => {};
  #hub;
  #offs;

  /** @param {import("./hub.js").Hub} hub */
  constructor(hub) {
    this.#hub = hub;
    for (const content of [...hub.contents()].reverse()) {
      this.#put({ kind: "status", id: content.id, channel: content.channel, content });
    }
    const kinds = /** @type {("status" | "removed" | "reset" | "ready")[]} */ (["status", "removed", "reset", "ready"]);
    this.#offs = kinds.map((kind) => hub.on(kind, (change) => this.#put(change)));
    this.#offs.push(hub.on("state", () => this.#wake()));
  }

  /** @param {Change} change */
  #put(change) {
    if (change.kind === "reset") this.#waiting.clear();
    const key = change.id === undefined ? change.kind : `=${change.id}`;
    const before = this.#waiting.get(key);
    this.#waiting.delete(key);
    // Of two deltas one of which is not read, no delta is left that says what has changed.
    this.#waiting.set(key, before?.kind === "status" ? { ...change, delta: undefined } : change);
    this.#wake();
  }

  /** @returns {AsyncGenerator<Change, void>} */
  async *read() {
    try {
      for (;;) {
        const [next] = this.#waiting;
        if (next) {
          this.#waiting.delete(next[0]);
          yield next[1];
        } else if (this.#hub.state === "closed") {
          return;
        } else {
          await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
        }
      }
    } finally {
      for (const off of this.#offs) off();
    }
  }
}
