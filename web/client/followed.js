/** The topics that are followed, and how far each is. */

/** @typedef {import("./connection.js").Receiver} Receiver */

/**
 * @typedef {import("./error.js").HubError} HubError
 *
 * @typedef {object} Topic
 * @property {string | null} cursor
 * @property {boolean} [whole] whether its whole state is here
 * @property {HubError | null} [refusal]
 */

/**
 * @template {Topic} T
 * @extends {Map<string, T>}
 */
export class Followed extends Map {
  /** The cursor of a topic. @param {string} name @returns {string | null | undefined} */
  since = (name) => this.get(name)?.cursor;

  /** What one of them is refused with. @returns {HubError | null | undefined} */
  get refusal() {
    return [...this.values()].find(({ refusal }) => refusal)?.refusal;
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

  /**
   * The states of some are void.
   * @param {string[]} names
   * @param {Receiver} receiver
   */
  reset(names, receiver) {
    this.edit(names, /** @type {Partial<T>} */ ({ cursor: null, whole: false }));
    receiver.reset(names);
  }

  /**
   * The whole states of some are here.
   * @param {string[]} names
   * @param {Receiver} receiver
   * @param {string} [cursor]  where there is another one
   */
  settle(names, receiver, cursor) {
    this.edit(names, /** @type {Partial<T>} */ ({ whole: true, ...(cursor && { cursor }) }));
    receiver.whole(names);
  }
}
