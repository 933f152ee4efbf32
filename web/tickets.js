/** The current ticket, where a page passes tickets: an `EventSource` can send no header. */
export class Tickets {
  #give;
  #ticket = "";
  #good = false;

  /** @param {(() => string | Promise<string>) | undefined} give  returns a new ticket; without it there are none */
  constructor(give) {
    this.#give = give;
  }

  /** The current ticket, or a new one; empty where the page passes none. Rejects where the page's function does. */
  async next({ fresh }) {
    if (this.#give && (fresh || !this.#ticket)) this.#use(given(await this.#give()));
    return this.#ticket;
  }

  /** The hub accepted the current ticket. */
  taken() {
    this.#good = this.#ticket !== "";
  }

  /**
   * Whether a refused URL is worth an immediate retry with a new ticket: its own was accepted before, or is not the
   * current one. A ticket that was never accepted is not, which prevents an endless loop.
   */
  outdated(address) {
    return this.#good || ticketOf(address) !== this.#ticket;
  }

  /** The hub refused a URL: its ticket is dropped. @returns {boolean} whether it was `outdated` */
  refused(address) {
    const outdated = this.outdated(address);
    if (ticketOf(address) === this.#ticket) this.#use("");
    return outdated;
  }

  #use(ticket) {
    this.#ticket = ticket;
    this.#good = false;
  }
}

function given(ticket) {
  if (typeof ticket === "string" && ticket) return ticket;
  throw new TypeError("The page's ticket function returned no ticket");
}

function ticketOf(address) {
  return new URL(address).searchParams.get("ticket") ?? "";
}
