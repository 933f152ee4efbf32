/** What the page has seen of contents while it was open: their progress and steps over time. The hub keeps no history. */

/** Most samples of one content; of more, every other one is dropped, and the line keeps its shape. */
const SAMPLES_MAX = 240;

/** Most steps of one content. */
const STEPS_MAX = 200;

/** Least change of the progress, in percent, that is a sample of its own. */
const LEAST = 0.5;

/**
 * @typedef {{ samples: [number, number][], steps: { name: string, began: number, ended: number | null }[] }} Past
 *   times are Unix milliseconds, and the second of a sample is the progress
 */

export class History {
  /** @type {Map<string, Past>} */
  #pasts = new Map();

  /**
   * @param {string} id
   * @returns {Past}
   */
  of(id) {
    return this.#pasts.get(id) ?? { samples: [], steps: [] };
  }

  /**
   * @param {string} id
   * @param {{ at: number, progress: number | null, step: string, ended: boolean }} seen
   */
  record(id, { at, progress, step, ended }) {
    let past = this.#pasts.get(id);
    if (!past) this.#pasts.set(id, (past = { samples: [], steps: [] }));
    if (progress !== null) sample(past, at, progress);
    const last = past.steps.at(-1);
    // Time does not go back, although the clocks of two producers may differ.
    at = Math.max(at, last ? (last.ended ?? last.began) : at);
    const same = last && last.name === step && last.ended === null;
    if (last && last.ended === null && (ended || !same)) last.ended = at;
    if (step && !ended && !same && past.steps.length < STEPS_MAX)
      past.steps.push({ name: step, began: at, ended: null });
  }

  /**
   * The content has gone, or begins anew.
   * @param {string} id
   */
  forget(id) {
    this.#pasts.delete(id);
  }
}

/**
 * @param {Past} past
 * @param {number} at
 * @param {number} progress
 */
function sample(past, at, progress) {
  const last = past.samples.at(-1);
  if (last && Math.abs(progress - last[1]) < LEAST && progress < 100) return;
  // Another attempt begins at the beginning.
  if (last && progress < last[1]) past.samples = [];
  past.samples.push([Math.max(at, past.samples.at(-1)?.[0] ?? at), progress]);
  if (past.samples.length > SAMPLES_MAX) past.samples = past.samples.filter((_, number) => number % 2 === 0);
}
