/** A call that the hub refuses. */
export class HubError extends Error {
  /** @override */
  name = "HubError";

  /**
   * @param {string} message
   * @param {number} status
   * @param {string} [code]  one of the hub's error codes; a proxy's refusal has none
   */
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}
