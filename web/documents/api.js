/** The hub's routes of document counts. */

const BASE = new URL("../../", import.meta.url);

/** What the hub says is wrong; `status` is that of HTTP, 0 where it does not answer. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function call(path, init) {
  let answer;
  try {
    answer = await fetch(new URL(path, BASE), { cache: "no-store", ...init });
  } catch {
    throw new Refused("The hub does not answer. Try again in a moment.", 0);
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(body.error?.message ?? body.error ?? `The hub answers ${answer.status}.`, answer.status);
  return body;
}

const post = (path, body) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** @returns {Promise<string>} the id of the batch */
export const start = async (keywords, priority) => (await post("api/documents/batch", { keywords, priority })).jobId;

/** @returns {Promise<object>} the batch */
export const status = async (id) => (await call(`api/documents/status?jobId=${encodeURIComponent(id)}`)).job;

export const cancel = (id) => post("api/contents/jobs/cancel", { content_id: id });
