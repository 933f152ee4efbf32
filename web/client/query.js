/**
 * TanStack Query: the stream keeps what is in the cache up to date.
 *
 *     syncQueryClient(queryClient, { channel: "drafts", queryKey: ["drafts"] });
 *
 *     useQuery({ queryKey: ["drafts"], queryFn: () => fetch("/api/contents/drafts").then((answer) => answer.json()) });
 */
import { LazyHub } from "./lazy.js";
import { origin } from "./origin.js";
import { summaryOf } from "./summary.js";

/**
 * @typedef {import("@tanstack/react-query").QueryClient} QueryClient
 * @typedef {import("@tanstack/react-query").QueryKey} QueryKey
 * @typedef {import("@tanstack/react-query").Query} Query
 * @typedef {import("./index.js").Content} Content
 * @typedef {import("./index.js").Hub} Hub
 * @typedef {import("./index.js").Options} Options
 */

/**
 * @typedef {object} SyncOptions
 * @property {string} channel
 * @property {QueryKey} queryKey      of the queries that hold the channel's list; those that begin with it as well
 * @property {Hub} [hub]              one that the page has connected to; instead of the options of `connect`
 * @property {(data: any, changes: readonly Change[], contents: readonly Content[]) => any} [patch]  where the
 *   cached data have a form of their own: returns the new data, or the old ones where nothing changes
 * @property {QueryKey | false} [invalidate]  which queries are fetched again when a content ends; by default the list's
 *
 * @typedef {object} Change
 * @property {string} id
 * @property {Content | undefined} content  undefined where it was removed
 *
 * @typedef {Map<string, Content | undefined>} Changed
 */

/** Between polls while there is no stream. */
const POLL_MS = 3_000;

/** Keys of `contentQueryOptions`. */
const CONTENT_KEY = "statushub";

/** The synchronizations that run, for the queries of single contents. @type {Set<Sync>} */
const syncs = new Set();

/**
 * Follows a channel, and patches the queries that hold its list as events come: `{ contents }` of `GET
 * /api/contents/{channel}`, the three lists of its `/status`, or an array of statuses. Queries that have not been
 * fetched are left alone. While there is no stream, these queries are polled by `refetchInterval`, unless they have one
 * of their own. On a server it does nothing.
 * @param {QueryClient} queryClient
 * @param {SyncOptions & Omit<Options, "channels" | "match">} options
 * @returns {() => void}  ends it
 */
export function syncQueryClient(queryClient, options) {
  if (typeof window === "undefined") return () => {};
  const sync = new Sync(queryClient, options);
  syncs.add(sync);
  return () => {
    syncs.delete(sync);
    sync.end();
  };
}

/**
 * The query of one content: its status as `POST /api/contents/status/batch` answers it, null where the hub knows none.
 * It is patched by `syncQueryClient` of its channel; without a stream it is polled until it has ended.
 * @param {string} id
 * @param {{ url?: string | URL, fetch?: typeof fetch }} [options]  `url`: the hub's, by default the page's origin;
 *   `fetch` where requests have a token
 */
export function contentQueryOptions(id, { url, fetch: request = (...args) => fetch(...args) } = {}) {
  return {
    queryKey: /** @type {const} */ ([CONTENT_KEY, "content", id]),
    /** @param {{ signal?: AbortSignal }} [context] */
    queryFn: async ({ signal } = {}) => {
      const address = new URL("api/contents/status/batch", new URL(url ?? origin(), globalThis.document?.baseURI));
      const answer = await request(address, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ content_ids: [id] }),
        signal,
      });
      if (!answer.ok) throw new Error(`The hub answers ${answer.status}`);
      /** @type {{ statuses: Record<string, any>[] }} */
      const { statuses } = await answer.json();
      return statuses[0].status === "not_found" ? null : statuses[0];
    },
    /** @param {{ state: { data?: Record<string, any> | null } }} query */
    refetchInterval: ({ state }) => {
      const ended = state.data?.status === "complete" || state.data?.status === "error";
      return ended || [...syncs].some((sync) => sync.covers(id)) ? /** @type {const} */ (false) : POLL_MS;
    },
  };
}

class Sync {
  #client;
  #channel;
  #queryKey;
  #patch;
  #invalidate;
  #lazy;
  #defaults;
  /** @type {Hub | null} */
  #hub = null;
  /** Since the last patch, by id. @type {Changed} */
  #changes = new Map();
  /** Since a fetch began, by the query's hash: its answer may be older. @type {Map<string, Changed>} */
  #meanwhile = new Map();
  /** Contents whose end is known. @type {Set<string>} */
  #ended = new Set();
  /** Whether the cached lists have to be fetched again. */
  #outdated = false;
  #live = false;
  #over = false;
  /** @type {(() => void)[]} */
  #unlisten = [];
  #ends;

  /**
   * @param {QueryClient} client
   * @param {SyncOptions & Options} options
   */
  constructor(client, { channel, queryKey, patch = patched, invalidate = queryKey, ...options }) {
    this.#client = client;
    this.#channel = channel;
    this.#queryKey = queryKey;
    this.#patch = patch;
    this.#invalidate = invalidate;
    this.#lazy = new LazyHub(options);
    this.#defaults = client.getQueryDefaults(queryKey);
    client.setQueryDefaults(queryKey, { refetchInterval: this.#interval, ...this.#defaults });
    this.#ends = [
      this.#lazy.follow([channel], () => this.#look()),
      client.getQueryCache().subscribe((event) => this.#cached(event)),
    ];
    this.#setIntervals();
  }

  /**
   * Whether the stream tells of this content.
   * @param {string} id
   */
  covers(id) {
    return this.#live && this.#hub?.get(id, this.#channel) !== undefined;
  }

  end() {
    this.#over = true;
    for (const end of [...this.#ends, ...this.#unlisten]) end();
    this.#client.setQueryDefaults(this.#queryKey, this.#defaults);
    this.#setIntervals();
  }

  #interval = () => (this.#live || this.#over ? /** @type {const} */ (false) : POLL_MS);

  /** Once a frame. */
  #look() {
    const { hub, state } = this.#lazy.view;
    if (hub !== this.#hub) this.#enter(hub);
    this.#write();
    if (this.#live === (state === "live")) return;
    this.#live = state === "live";
    this.#setIntervals();
  }

  /** @param {Hub | null} hub */
  #enter(hub) {
    for (const unlisten of this.#unlisten) unlisten();
    this.#unlisten = [];
    this.#hub = hub;
    if (!hub) return;
    this.#unlisten = [
      hub.on("status", (/** @type {any} */ { content }) => this.#changed(content.channel, content.id, content)),
      hub.on("removed", (/** @type {any} */ { channel, id }) => this.#changed(channel, id, undefined)),
      // What is not among the states that follow has gone.
      hub.on("reset", () => (this.#outdated = true)),
    ];
    for (const content of hub.contents(this.#channel)) this.#changed(content.channel, content.id, content);
  }

  /**
   * @param {string} channel
   * @param {string} id
   * @param {Content | undefined} content
   */
  #changed(channel, id, content) {
    if (channel !== this.#channel) return;
    this.#changes.set(id, content);
    for (const changes of this.#meanwhile.values()) changes.set(id, content);
    if (!content?.ended) this.#ended.delete(id);
    else if (!this.#ended.has(id)) {
      this.#ended.add(id);
      if (this.#lazy.view.ready) this.#outdated = true;
    }
  }

  #write() {
    if (this.#changes.size) {
      const changes = this.#changes;
      this.#changes = new Map();
      for (const { queryKey } of this.#lists()) this.#patchList(queryKey, changes);
      for (const [id, content] of changes) this.#patchContent(id, content);
    }
    if (!this.#outdated || !this.#lazy.view.ready) return;
    this.#outdated = false;
    if (this.#invalidate) void this.#client.invalidateQueries({ queryKey: this.#invalidate });
  }

  /**
   * @param {QueryKey} queryKey
   * @param {Changed} changes
   */
  #patchList(queryKey, changes) {
    const list = [...changes].map(([id, content]) => ({ id, content }));
    const contents = this.#hub?.contents(this.#channel) ?? [];
    this.#client.setQueryData(queryKey, (/** @type {any} */ data) => {
      return data === undefined ? undefined : this.#patch(data, list, contents);
    });
  }

  /**
   * @param {string} id
   * @param {Content | undefined} content
   */
  #patchContent(id, content) {
    const key = [CONTENT_KEY, "content", id];
    if (this.#client.getQueryData(key) === undefined) return;
    this.#client.setQueryData(key, content ? { id, ...content.data } : null);
  }

  /** @param {import("@tanstack/react-query").QueryCacheNotifyEvent} event */
  #cached(event) {
    if (event.type !== "updated") return;
    const { query, action } = event;
    if (action.type === "fetch") this.#meanwhile.set(query.queryHash, new Map());
    else if (action.type === "error") this.#meanwhile.delete(query.queryHash);
    else if (action.type === "success" && !action.manual) this.#fetched(query);
  }

  /** @param {Query} query */
  #fetched({ queryHash, queryKey }) {
    const changes = this.#meanwhile.get(queryHash);
    this.#meanwhile.delete(queryHash);
    if (!changes?.size) return;
    if (this.#lists().some((list) => list.queryHash === queryHash)) this.#patchList(queryKey, changes);
    const [key, , id] = queryKey;
    if (key === CONTENT_KEY && typeof id === "string" && changes.has(id)) this.#patchContent(id, changes.get(id));
  }

  #lists() {
    return this.#client.getQueryCache().findAll({ queryKey: this.#queryKey });
  }

  /** Queries compute their interval when their options are set. Those that were made before the defaults have none. */
  #setIntervals() {
    for (const { observers } of this.#lists()) {
      for (const observer of observers) {
        observer.setOptions({ refetchInterval: this.#interval, ...defined(observer.options) });
      }
    }
    for (const { observers } of this.#client.getQueryCache().findAll({ queryKey: [CONTENT_KEY] })) {
      for (const observer of observers) observer.setOptions({ ...observer.options });
    }
  }
}

/**
 * @template {{ refetchInterval?: unknown }} T
 * @param {T} options
 */
function defined(options) {
  const { refetchInterval, ...rest } = options;
  return refetchInterval === undefined ? rest : options;
}

/**
 * The data of the hub's own answers, and lists of statuses or of objects that have their ids as `id`.
 * @param {any} data
 * @param {readonly Change[]} changes
 */
function patched(data, changes) {
  if (Array.isArray(data)) return patchedList(data, changes);
  if (Array.isArray(data?.contents)) return { ...data, contents: patchedList(data.contents, changes) };
  if (Array.isArray(data?.processing_contents)) return patchedSummary(data, changes);
  return data;
}

/**
 * Each item stays where it is; new contents come first.
 * @param {readonly Record<string, any>[]} list
 * @param {readonly Change[]} changes
 */
function patchedList(list, changes) {
  const left = new Map(changes.map(({ id, content }) => [id, content]));
  const kept = list.flatMap((item) => {
    const id = idOf(item);
    if (!left.has(id)) return [item];
    const content = left.get(id);
    left.delete(id);
    if (!content) return [];
    // A status is replaced, since it may have lost fields; what a backend of one's own says beside it is kept.
    return [item.content_id === undefined ? { ...item, ...content.data } : content.data];
  });
  const first = list[0];
  const named = first !== undefined && first.content_id === undefined;
  const added = [...left].flatMap(([id, content]) => {
    if (!content) return [];
    return [named ? { id, ...content.data } : content.data];
  });
  return [...added.reverse(), ...kept];
}

/** @param {Record<string, any>} item */
function idOf(item) {
  return item.content_id ?? item.id;
}

/**
 * @param {import("./summary.js").Summary} summary
 * @param {readonly Change[]} changes
 */
function patchedSummary(summary, changes) {
  const said = summaryOf(changes.flatMap(({ content }) => (content ? [content] : [])));
  const changed = new Set(changes.map(({ id }) => id));
  const [processing, completed, failed] = LISTS.map(([name, total]) => {
    const kept = summary[name].filter(({ id }) => !changed.has(id));
    const gone = summary[name].length - kept.length;
    return { lines: [...said[name], ...kept], total: summary[total] - gone + said[name].length };
  });
  return {
    ...summary,
    processing_contents: processing.lines,
    completed_contents: completed.lines,
    failed_contents: failed.lines,
    has_processing: processing.total > 0,
    total_processing: processing.total,
    total_completed: completed.total,
    total_failed: failed.total,
  };
}

const LISTS = /** @type {const} */ ([
  ["processing_contents", "total_processing"],
  ["completed_contents", "total_completed"],
  ["failed_contents", "total_failed"],
]);
