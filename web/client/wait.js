/** Promises of what is to come. */
import { HubError } from "./error.js";

/**
 * Resolves with what an attempt finds, which is made after each change until it does. Rejects where the hub refuses, or is closed.
 * @template T
 * @param {import("./hub.js").Hub} hub
 * @param {() => T | false | undefined} attempt
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export async function found(hub, attempt, signal) {
  const kinds = /** @type {const} */ (["status", "removed", "ready", "state"]);
  /** @type {(() => void)[]} */
  let ends = [];
  try {
    return await new Promise((resolve, reject) => {
      const look = () => {
        try {
          const result = attempt();
          if (result) resolve(result);
          else if (hub.state === "closed") throw new DOMException("The hub is closed", "AbortError");
          else if (hub.state === "refused") throw hub.error ?? new HubError(hub.reason ?? "refused", 403);
        } catch (error) {
          reject(error);
        }
      };
      const aborted = () => reject(signal?.reason);
      signal?.addEventListener("abort", aborted);
      ends = [...kinds.map((kind) => hub.on(kind, look)), () => signal?.removeEventListener("abort", aborted)];
      if (signal?.aborted) aborted();
      else look();
    });
  } finally {
    for (const end of ends) end();
  }
}

/**
 * The content with its end.
 * @param {import("./hub.js").Hub} hub
 * @param {{ contentId: string, channel?: string, signal?: AbortSignal, removed: () => boolean }} waited
 */
export function ended(hub, { contentId, channel, signal, removed }) {
  const attempt = () => {
    if (removed()) throw new HubError("The content was removed", 404, "removed");
    const content = hub.get(contentId, channel);
    return content?.ended ? content : undefined;
  };
  return found(hub, attempt, signal);
}
