/** The ticket in use, where a page gives tickets: what an address bears that cannot bear a header. */
export class Tickets {
  #give;
  #ticket = "";
  #good = false;

  /** @param {(() => string | Promise<string>) | undefined} give  a fresh one each time; none: addresses go without */
  constructor(give) {
    this.#give = give;
  }

  /** The ticket in use, or a fresh one; empty where the page gives none. Rejects where the page's function does. */
  async next({ fresh }) {
    if (this.#give && (fresh || !this.#ticket)) this.#use(given(await this.#give()));
    return this.#ticket;
  }

  /** The hub took the ticket in use. */
  taken() {
    this.#good = this.#ticket !== "";
  }

  /**
   * Whether an address that did not get through may, at once, with a fresh ticket: its own had been good until now, or
   * is out of use. One that never was good says that asking does not help, which keeps this from going in circles.
   */
  outdated(address) {
    return this.#good || ticketOf(address) !== this.#ticket;
  }

  /** The hub did not take an address, whose ticket is used no more. @returns {boolean} whether it was `outdated` */
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
  throw new TypeError("The page's ticket function gave no ticket");
}

function ticketOf(address) {
  return new URL(address).searchParams.get("ticket") ?? "";
}
