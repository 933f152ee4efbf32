/** Follows the results of one batch. */

import * as api from "./api.js";
import { follow } from "./events.js";

const BASE = new URL("../../", import.meta.url);

/**
 * @param {string} id
 * @param {(keyword: string, result: object) => void} found  a keyword is over: `{counts}` or `{error}`
 * @returns {() => void} ends it
 */
export function watch(id, found) {
  return follow(`jobs/${id}`, {
    content: (item) => {
      if (typeof item.input !== "string") return;
      if (item.result) found(item.input, { counts: item.result.counts });
      else if (item.status === "error") found(item.input, { error: item.error_message ?? "It failed." });
    },
  }, BASE);
}

/** What became of a batch while no page was open; null where the hub has forgotten it. */
export async function catchUp(id, found) {
  try {
    const job = await api.status(id);
    for (const { keyword, counts } of job.results) found(keyword, { counts });
    return job;
  } catch (error) {
    if (error instanceof api.Refused && error.status === 404) return null;
    throw error;
  }
}
