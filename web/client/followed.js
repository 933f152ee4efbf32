/** The topics that are followed, and how far each is. */

/**
 * @typedef {import("./error.js").HubError} HubError
 *
 * @typedef {object} Topic
 * @property {string | null} cursor
 * @property {boolean} whole   whether its whole state is here
 * @property {HubError | null} refusal
 */

/**
 * @template {Topic} T
 * @extends {Map<string, T>}
 */
export class Followed extends Map {
  /** The cursor of a topic. @param {string} name @returns {string | null} */
  since = (name) => this.get(name)?.cursor ?? null;

  /** What one of them is refused with. @returns {HubError | null} */
  get refusal() {
    for (const { refusal } of this.values()) if (refusal) return refusal;
    return null;
  }

  /** Whether the whole state of all is here. */
  get complete() {
    return [...this.values()].every(({ whole }) => whole);
  }

  /**
   * Changes those of the topics that are followed.
   * @param {string[]} names
   * @param {Partial<T>} change
   */
  edit(names, change) {
    for (const name of names) Object.assign(this.get(name) ?? {}, change);
  }
}
