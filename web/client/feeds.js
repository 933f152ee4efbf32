/**
 * Feeds: likes, follows, counters and notifications, asked for once in batches and live from then on.
 *
 *     import { feed } from "statushub/feeds";
 *
 *     const shown = feed({ user: "ann", videos: ["v1", "v2"], users: ["bob"] });
 *     shown.subscribe(() => render(shown.stats("v1"), shown.liked("v1"), shown.unread));
 *     await shown.like("v1");
 */
import { HubError } from "./error.js";
import { Hub } from "./hub.js";

/** The channel of all counters, and what the ids of its contents begin with. */
const CHANNEL = "feed/videos";
const STATS = "stats:";

const OWN_TYPES = ["liked", "followed", "notification", "unread_count"];

/** Most ids of one question. */
const BATCH = 100;

/** Notifications that are asked for first. */
const PAGE = 20;

/**
 * @typedef {object} Counts
 * @property {number} view_count
 * @property {number} like_count
 * @property {number} comment_count
 * @property {number} remix_count
 * @property {number} glitch_count
 *
 * @typedef {{ id: string, category: string, read: boolean, created_at: string, [name: string]: unknown }} Notification
 *
 * @typedef {object} FeedOptions
 * @property {string | URL} [url]  the hub's; by default the page's origin
 * @property {string} [user]       the `sub` of the page's token: without one, only counters
 * @property {Iterable<string>} [videos]  at most 100
 * @property {Iterable<string>} [users]   at most 100
 * @property {string | (() => string | Promise<string>)} [token]
 * @property {boolean} [credentials]  cookies to a hub of another origin
 * @property {AbortSignal} [signal]   closes it
 */

export class Feed {
  /** The current state of what is shown, so that a listener reads all of it together. */
  #stats = /** @type {Map<string, Counts>} */ (new Map());
  #liked = /** @type {Map<string, boolean>} */ (new Map());
  #following = /** @type {Map<string, boolean>} */ (new Map());
  #notifications = /** @type {readonly Notification[]} */ (Object.freeze([]));
  #unread = 0;
  #listeners = /** @type {Set<() => void>} */ (new Set());
  #hubs = /** @type {Hub[]} */ ([]);
  #options;
  #base;
  #ready;
  #seen = /** @type {Map<string, string>} */ (new Map());

  /** @param {FeedOptions} options */
  constructor(options) {
    this.#options = options;
    this.#base = new URL(options.url ?? "/", globalThis.document?.baseURI);
    const videos = [...(options.videos ?? [])].slice(0, BATCH);
    const users = [...(options.users ?? [])].slice(0, BATCH);
    const { token, credentials, signal } = options;
    const shared = { url: this.#base, token, credentials, signal };
    // Followed before the questions are asked, so that nothing falls between the two.
    if (videos.length > 0) {
      const contentIds = videos.map((id) => STATS + id);
      this.#follow(new Hub({ ...shared, channels: [CHANNEL], contentIds, types: ["stats_update"] }));
    }
    if (options.user !== undefined) {
      const channel = `users/${encodeURIComponent(options.user).replace(/[!'()*]/g, escaped)}`;
      this.#follow(new Hub({ ...shared, channels: [channel], types: OWN_TYPES }));
    }
    this.#ready = this.#load(videos, users);
    // The page may never ask.
    this.#ready.catch(() => {});
    signal?.addEventListener("abort", () => this.close(), { once: true });
  }

  /** Resolves once the first questions are answered; rejects with a `HubError` where they are refused. */
  ready() {
    return this.#ready;
  }

  /** The counters of a video; undefined before they are known, and of a deleted one. @param {string} video */
  stats(video) {
    return this.#stats.get(video);
  }

  /** Whether the user likes the video. @param {string} video */
  liked(video) {
    return this.#liked.get(video) ?? false;
  }

  /** Whether the user follows the other one. @param {string} user */
  following(user) {
    return this.#following.get(user) ?? false;
  }

  /** How many notifications are not read. */
  get unread() {
    return this.#unread;
  }

  /** The latest notifications, the newest first; the same array while nothing changes. */
  get notifications() {
    return this.#notifications;
  }

  /**
   * Calls the listener after changes.
   * @param {() => void} listener
   * @returns {() => void} ends it
   */
  subscribe(listener) {
    const own = () => listener();
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** @param {string} video @param {boolean} [likes] */
  async like(video, likes = true) {
    await this.#ask(`v1/likes/${encodeURIComponent(video)}`, { method: likes ? "PUT" : "DELETE" });
    this.#liked.set(video, likes);
    this.#told();
  }

  /** @param {string} user @param {boolean} [follows] */
  async follow(user, follows = true) {
    await this.#ask(`v1/follows/${encodeURIComponent(user)}`, { method: follows ? "PUT" : "DELETE" });
    this.#following.set(user, follows);
    this.#told();
  }

  /** Counts a view. @param {string} video */
  async view(video) {
    await this.#ask(`v1/videos/${encodeURIComponent(video)}/view`, { method: "POST" });
  }

  /** Marks notifications as read, by default all. @param {Iterable<string>} [ids] */
  async markRead(ids) {
    const named = ids && [...ids];
    if (named) await this.#post("v1/notifications/batch-mark-read", { notification_ids: named });
    else await this.#post("v1/notifications/mark-all-read", {});
    const marked = named && new Set(named);
    this.#show(this.#notifications.map((it) => (!marked || marked.has(it.id) ? { ...it, read: true } : it)));
    this.#told();
  }

  close() {
    for (const hub of this.#hubs) hub.close();
    this.#listeners.clear();
  }

  /** @param {Hub} hub */
  #follow(hub) {
    this.#hubs.push(hub);
    hub.on("status", (change) => this.#take(change.content));
    hub.on("removed", (change) => this.#stats.delete(String(change.id).slice(STATS.length)) && this.#told());
  }

  /** @param {import("./content.js").Content} content */
  #take({ type, id, cursor, data }) {
    // Each state once: a reconnect may repeat the last ones.
    if (this.#seen.get(id) === cursor) return;
    this.#seen.set(id, cursor);
    if (type === "stats_update") {
      const { view_count, like_count, comment_count, remix_count, glitch_count } = data;
      this.#stats.set(data.video_id, { view_count, like_count, comment_count, remix_count, glitch_count });
    } else if (type === "liked") this.#liked.set(data.video_id, data.liked);
    else if (type === "followed") this.#following.set(data.user_id, data.following);
    else if (type === "unread_count") this.#unread = data.unread_count;
    else if (type === "notification") this.#show([/** @type {any} */ (data), ...this.#notifications]);
    this.#told();
  }

  /**
   * Keeps one of each, the newest first; what was read stays read.
   * @param {readonly Notification[]} all
   */
  #show(all) {
    const read = new Set(all.filter((it) => it.read).map((it) => it.id));
    const known = new Map(all.map((it) => [it.id, { ...it, read: read.has(it.id) }]));
    const sorted = [...known.values()].sort((one, other) => (one.created_at < other.created_at ? 1 : -1));
    this.#notifications = Object.freeze(sorted);
  }

  /**
   * @param {string[]} videos
   * @param {string[]} users
   */
  async #load(videos, users) {
    const known = this.#options.user !== undefined;
    const questions = [];
    if (videos.length > 0) {
      questions.push(
        this.#post("v1/videos/batch-metadata", { video_ids: videos }).then((said) =>
          add(this.#stats, /** @type {Record<string, Counts>} */ (said.videos)),
        ),
      );
      if (known) {
        questions.push(
          this.#post("v1/likes/check-batch", { video_ids: videos }).then((said) => add(this.#liked, said.liked_videos)),
        );
      }
    }
    if (known && users.length > 0) {
      questions.push(
        this.#post("v1/follows/check-batch", { user_ids: users }).then((said) =>
          add(this.#following, said.following_users),
        ),
      );
    }
    if (known) {
      questions.push(
        this.#ask(`v1/notifications/?limit=${PAGE}`).then((said) =>
          this.#show([...this.#notifications, ...said.notifications]),
        ),
        this.#ask("v1/notifications/unread-count").then((said) => {
          // The stream may have told since.
          if (![...this.#seen.keys()].some((id) => id.startsWith("unread:"))) this.#unread = said.unread_count;
        }),
      );
    }
    await Promise.all(questions);
    this.#told();
  }

  /** @param {string} path @param {object} body */
  #post(path, body) {
    const headers = { "Content-Type": "application/json" };
    return this.#ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  /**
   * @param {string} path
   * @param {RequestInit} [init]
   * @returns {Promise<any>}
   */
  async #ask(path, init = {}) {
    const { token, credentials, signal } = this.#options;
    const secret = typeof token === "function" ? await token() : token;
    const headers = { ...init.headers, ...(secret && { Authorization: `Bearer ${secret}` }) };
    const answer = await fetch(new URL(path, this.#base), {
      ...init,
      headers,
      signal,
      credentials: credentials ? "include" : "same-origin",
    });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said;
    throw new HubError(said.error?.message ?? answer.statusText, answer.status, said.error?.code);
  }

  #told() {
    for (const listener of [...this.#listeners]) listener();
  }
}

/**
 * What viewers see of a feed, until it is closed.
 * @param {FeedOptions} options
 */
export function feed(options) {
  return new Feed(options);
}

/**
 * Adds what was asked for, but what the stream has told since.
 * @template T
 * @param {Map<string, T>} known
 * @param {Record<string, T>} said
 */
function add(known, said) {
  for (const [id, value] of Object.entries(said)) if (!known.has(id)) known.set(id, value);
}

/** What `encodeURIComponent` leaves and the hub's names do not. @param {string} character */
function escaped(character) {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
