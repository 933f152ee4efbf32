/** A hub with its network, as scripts drive them: what a client is told, and when. It keeps the rules of docs/protocol.md. */

/** @typedef {{ offset: number, type: string, data: any, before?: number, append?: string }} Stored */

export class FakeHub {
  epoch = "e1";
  offset = 0;
  /** The last event of each content. @type {Map<string, Stored>} */
  contents = new Map();
  /** All states that were ever published, by content. @type {Map<string, Set<string>>} */
  published = new Map();
  /** @type {Set<FakeStream>} */
  streams = new Set();
  /** @type {Set<FakeRequest>} */
  requests = new Set();
  reachable = true;
  /** A proxy holds back what streams say. */
  buffering = false;
  /** How many streams were opened, and polls asked. */
  opened = 0;
  asked = 0;

  /** @param {string} id @param {string} [channel] @param {Record<string, unknown>} [more] */
  publish(id, channel = "c", more = {}) {
    const progress = this.offset + 1;
    this.#store(id, "content_status_update", {
      content_id: id,
      channel_id: channel,
      status: "generating",
      epoch: this.epoch,
      progress,
      ...more,
    });
  }

  /** @param {string} id @param {string} text */
  grow(id, text) {
    const last = this.contents.get(id);
    if (!last || last.type !== "content_status_update") return this.publish(id, "c", { text });
    const data = { ...last.data, text: (last.data.text ?? "") + text };
    this.#store(id, last.type, data, { before: last.offset, append: text });
  }

  /** @param {string} id @param {string} [channel] */
  end(id, channel = "c") {
    this.#store(id, "processing_complete", {
      content_id: id,
      channel_id: channel,
      status: "complete",
      n: this.offset + 1,
    });
  }

  /** @param {string} id */
  remove(id) {
    const last = this.contents.get(id);
    if (!last || last.type === "content_removed") return;
    this.#store(id, "content_removed", { content_id: id, channel_id: last.data.channel_id });
  }

  /** The hub has lost all it had, and begins anew. */
  begin() {
    this.epoch = `e${Number(this.epoch.slice(1)) + 1}`;
    this.offset = 0;
    this.contents.clear();
    this.cut();
  }

  /** All streams break, and polls get no answer. */
  cut() {
    for (const stream of [...this.streams]) stream.fail();
    for (const request of [...this.requests]) request.fail();
  }

  /** @param {string} id @param {string} type @param {any} data @param {{ before?: number, append?: string }} [growth] */
  #store(id, type, data, growth) {
    this.offset += 1;
    const stored = { offset: this.offset, type, data, ...growth };
    this.contents.delete(id);
    this.contents.set(id, stored);
    const states = this.published.get(id) ?? new Set();
    this.published.set(id, states.add(JSON.stringify(data)));
    for (const stream of this.streams) stream.tell(id, stored);
    for (const request of this.requests) request.wake();
  }

  /** @param {number} offset */
  cursor(offset) {
    return `${this.epoch}-${offset}`;
  }

  /**
   * What came after a cursor, and whether that is void.
   * @param {string | null} since
   * @param {(channel: string) => boolean} named
   */
  since(since, named) {
    const [epoch, offset] = (since ?? "").split("-");
    const reset = Boolean(since) && (epoch !== this.epoch || Number(offset) > this.offset);
    const after = since && !reset ? Number(offset) : 0;
    const events = [...this.contents.entries()]
      .filter(([, stored]) => stored.offset > after && named(stored.data.channel_id))
      .filter(([, stored]) => (since && !reset) || stored.type !== "content_removed");
    return { reset, events };
  }

  /** What is there. @param {(channel: string) => boolean} named */
  state(named) {
    return new Map(
      [...this.contents]
        .filter(([, { type, data }]) => type !== "content_removed" && named(data.channel_id))
        .map(([id, { data }]) => [id, JSON.stringify(data)]),
    );
  }

  /** Replaces what a browser has. */
  install() {
    const hub = this;
    globalThis.EventSource = /** @type {any} */ (
      class extends FakeStream {
        /** @param {URL} address */
        constructor(address) {
          super(hub, address);
        }
      }
    );
    globalThis.fetch = /** @type {any} */ (
      (/** @type {URL} */ address, /** @type {{ signal: AbortSignal }} */ options) =>
        new FakeRequest(hub, address, options.signal).promise
    );
  }
}

/** @param {URL} address @returns {(channel: string) => boolean} */
function namedBy(address) {
  const [, one] = /contents\/([^/]+)\//.exec(address.pathname) ?? [];
  const all = one
    ? [decodeURIComponent(one)]
    : [...address.searchParams.getAll("channel"), ...address.searchParams.getAll("match")];
  return (channel) => all.includes(channel) || all.includes("**");
}

class FakeStream {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;
  readyState = 0;
  /** @type {((event: any) => void) | null} */
  onerror = null;
  /** @type {Map<string, (event: any) => void>} */
  #listeners = new Map();
  /** What is on its way. @type {{ type: string, lastEventId: string, data: string }[]} */
  #queue = [];
  /** The offset of each content that was sent. @type {Map<string, number>} */
  #sent = new Map();
  #id = "";

  /** @param {FakeHub} hub @param {URL} address */
  constructor(hub, address) {
    this.hub = hub;
    this.url = String(address);
    this.deltas = address.searchParams.get("deltas") === "1";
    this.named = namedBy(address);
    this.alone = address.pathname.includes("/contents/");
    hub.opened += 1;
    hub.streams.add(this);
    const since = address.searchParams.get("since");
    const { reset, events } = hub.since(since, this.named);
    if (reset) this.#put("reset", {}, "");
    for (const [id, stored] of events) this.#state(id, stored);
    this.#put("ready", { cursor: hub.cursor(hub.offset), heartbeat_ms: 15_000 });
  }

  /** @param {string} type @param {(event: any) => void} listener */
  addEventListener(type, listener) {
    this.#listeners.set(type, listener);
  }

  /** @param {string} type */
  removeEventListener(type) {
    this.#listeners.delete(type);
  }

  close() {
    this.readyState = 2;
    this.hub.streams.delete(this);
  }

  /** @param {string} id @param {Stored} stored */
  tell(id, stored) {
    if (!this.named(stored.data.channel_id)) return;
    if (!this.deltas || stored.append === undefined || this.#sent.get(id) !== stored.before)
      return this.#state(id, stored);
    const back = stored.offset - /** @type {number} */ (stored.before);
    const channel = this.alone ? {} : { channel_id: stored.data.channel_id };
    const delta = { back, content_id: id, ...channel, append: { text: stored.append } };
    this.#sent.set(id, stored.offset);
    this.#put("content_delta", delta, this.hub.cursor(stored.offset));
  }

  /** @param {string} id @param {Stored} stored */
  #state(id, { offset, type, data }) {
    this.#sent.set(id, offset);
    this.#put(type, data, this.hub.cursor(offset));
  }

  /** @param {string} type @param {any} data @param {string} [id] */
  #put(type, data, id) {
    if (id !== undefined) this.#id = id;
    this.#queue.push({ type, lastEventId: this.#id, data: JSON.stringify(data) });
  }

  /** Frames arrive. @param {number} [count] */
  deliver(count = Infinity) {
    if (!this.hub.reachable) return this.fail();
    if (this.hub.buffering) return;
    for (const event of this.#queue.splice(0, count)) this.#dispatch(event);
  }

  beat() {
    this.#put("heartbeat", { timestamp: new Date().toISOString() });
  }

  /** @param {number} retry_ms */
  drain(retry_ms) {
    this.#put("drain", { retry_ms });
  }

  /** @param {{ type: string, lastEventId: string, data: string }} event */
  #dispatch(event) {
    if (this.readyState === 2) return;
    this.readyState = 1;
    this.#listeners.get(event.type)?.(event);
  }

  /** @param {boolean} [final] */
  fail(final = false) {
    if (this.readyState === 2) return;
    this.hub.streams.delete(this);
    this.readyState = final ? 2 : 0;
    this.onerror?.({ type: "error" });
  }
}

class FakeRequest {
  /** @type {any} */
  #answer = null;

  /** @param {FakeHub} hub @param {URL} address @param {AbortSignal} signal */
  constructor(hub, address, signal) {
    this.hub = hub;
    this.url = String(address);
    this.address = address;
    hub.asked += 1;
    hub.requests.add(this);
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    signal.addEventListener("abort", () => this.fail());
    if (signal.aborted) this.fail();
    else if (!address.searchParams.get("wait")) this.#make();
    else this.wake();
  }

  /** A long poll is answered once there is something. */
  wake() {
    if (this.#answer) return;
    const { events, reset } = this.hub.since(this.address.searchParams.get("since"), namedBy(this.address));
    if (events.length || reset) this.#make();
  }

  #make() {
    const { reset, events } = this.hub.since(this.address.searchParams.get("since"), namedBy(this.address));
    this.#answer = {
      cursor: this.hub.cursor(this.hub.offset),
      reset,
      events: events.map(([, { offset, type, data }]) => ({ id: this.hub.cursor(offset), type, data })),
    };
  }

  /** The answer that was made arrives; or, of a long poll that waits, that nothing came. */
  deliver() {
    if (!this.hub.reachable) return this.fail();
    if (!this.#answer) this.#make();
    this.hub.requests.delete(this);
    this.resolve(new Response(JSON.stringify(this.#answer)));
  }

  /** @param {number} status @param {any} body */
  refuse(status, body) {
    this.hub.requests.delete(this);
    this.resolve(new Response(JSON.stringify(body), { status }));
  }

  fail() {
    this.hub.requests.delete(this);
    this.reject(new TypeError("no network"));
  }
}
