/** Contents that are watched: when one ends, the browser tells, whichever page of the dashboard is open. */
import { addressOf } from "./address.js";
import { t } from "./language.js";

/** Remembers for this tab what is watched, across reloads. */
const KEPT = "statushub-watched";

export class Watching {
  #toasts;
  /** Keys of contents. @type {Set<string>} */
  #watched = new Set(kept());

  /** @param {import("./toasts.js").Toasts} toasts */
  constructor(toasts) {
    this.#toasts = toasts;
  }

  get size() {
    return this.#watched.size;
  }

  /** @param {string} channel @param {string} id */
  has(channel, id) {
    return this.#watched.has(keyOf(channel, id));
  }

  /**
   * The browser asks its user once; where that is refused, the page itself tells.
   * @param {string} channel
   * @param {string} id
   */
  async toggle(channel, id) {
    const key = keyOf(channel, id);
    if (this.#watched.delete(key)) return keep(this.#watched);
    this.#watched.add(key);
    keep(this.#watched);
    if (!("Notification" in globalThis)) return;
    const permission =
      Notification.permission === "default" ? await Notification.requestPermission() : Notification.permission;
    if (permission !== "granted") this.#toasts.show(t("notificationsBlocked"));
  }

  /**
   * A content has ended.
   * @param {{ channel: string, id: string, title: string, phase: string, error: string }} content
   */
  ended({ channel, id, title, phase, error }) {
    if (!this.#watched.delete(keyOf(channel, id))) return;
    keep(this.#watched);
    const text = t(phase === "failed" ? "notifyFailed" : "notifyCompleted", { title });
    this.#toasts.show(text);
    if (!("Notification" in globalThis) || Notification.permission !== "granted") return;
    try {
      const notification = new Notification(text, { body: error || channel, tag: keyOf(channel, id) });
      notification.addEventListener("click", () => {
        window.focus();
        location.assign(addressOf({ channel, content: id }));
      });
    } catch {
      // Some phones allow notifications to service workers only; the page has told already.
    }
  }
}

/** @param {string} channel @param {string} id */
function keyOf(channel, id) {
  return JSON.stringify([channel, id]);
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
  } catch {
    return [];
  }
}

/** @param {Set<string>} watched */
function keep(watched) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify([...watched]));
  } catch {
    // Where storage is blocked, a reload forgets.
  }
}
