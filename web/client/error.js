/** A call that the hub refuses. */
export class HubError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   * @param {string} [code]  one of the hub's error codes; a proxy's refusal has none
   */
  constructor(message, status, code) {
    super(message);
    this.name = "HubError";
    this.status = status;
    this.code = code;
  }
}
