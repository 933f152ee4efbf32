/** What a page proves its right to read with, where it is no cookie: tickets, in URLs, or a token, in a header. */

/**
 * @typedef {object} Grant
 * @property {string} [ticket]
 * @property {string} [token]
 *
 * @typedef {object} Given  what a page gives
 * @property {() => string | Promise<string>} [ticket]
 * @property {string | (() => string | Promise<string>)} [token]
 */

export class Credentials {
  #given;
  /** @type {string | undefined} */
  #secret;
  #good = false;

  /** @param {Given} given */
  constructor(given) {
    this.#given = given;
  }

  /** Whether requests have a header, which an `EventSource` cannot send. */
  get header() {
    return this.#given.token !== undefined;
  }

  /**
   * The current grant or, where a fresh one is asked for, a new ticket. Rejects where the page's function does.
   * @param {{ fresh?: boolean }} [options]
   * @returns {Promise<Grant>}
   */
  async next({ fresh = false } = {}) {
    const { ticket, token } = this.#given;
    if (token !== undefined) {
      if (this.#secret === undefined) this.#use(checked(typeof token === "function" ? await token() : token, "token"));
      return { token: this.#secret };
    }
    if (!ticket) return {};
    if (fresh || this.#secret === undefined) this.#use(checked(await ticket(), "ticket"));
    return { ticket: this.#secret };
  }

  /** The hub accepted the current grant. */
  taken() {
    this.#good = this.#secret !== undefined;
  }

  /**
   * Whether something new is worth a try where a grant may have been refused.
   * @param {Grant} grant
   */
  outdated({ token, ticket }) {
    return this.#good || (token ?? ticket) !== this.#secret;
  }

  /**
   * The hub refused a grant, which is dropped.
   * @param {Grant} grant
   * @returns {boolean} whether to repeat the request with a new one: this was accepted before, or is not the current
   *   one. One that was never accepted would be refused without end.
   */
  refused(grant) {
    const secret = grant.token ?? grant.ticket;
    if (secret === undefined || typeof this.#given.token === "string") return false;
    const outdated = this.outdated(grant);
    if (secret === this.#secret) this.#secret = undefined;
    this.#good = false;
    return outdated;
  }

  /**
   * The stream was lost.
   * @param {Grant} grant
   * @param {import("./transport.js").Loss} loss
   * @returns {boolean} whether to open it again immediately: with a new token where the hub says that this one is
   *   refused, with a new ticket where it may have said so
   */
  lost(grant, { final, denied }) {
    return denied ? this.refused(grant) : final && grant.ticket !== undefined && this.outdated(grant);
  }

  /** @param {string} secret */
  #use(secret) {
    this.#secret = secret;
    this.#good = false;
  }
}

/**
 * @param {unknown} secret
 * @param {string} name
 */
function checked(secret, name) {
  if (typeof secret === "string" && secret) return secret;
  throw new TypeError(`The page's ${name} function returned no ${name}`);
}
