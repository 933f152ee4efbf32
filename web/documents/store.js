/** What the page keeps in this browser: the results, and the batch that it has started. */

const RESULTS = "statushub-documents";
const BATCH = "statushub-documents-batch";

/** Result by keyword: `{counts, at}`, or `{error, at}`; `at` is in milliseconds. */
export class Store {
  #results = read(RESULTS);

  /** The keywords that have been counted, with their results, the first one first. */
  entries() {
    return Object.entries(this.#results);
  }

  /** Whether the keyword has been counted; one that has failed has not. */
  knows(keyword) {
    return Object.hasOwn(this.#results, keyword) && "counts" in this.#results[keyword];
  }

  put(keyword, result) {
    // Not a plain assignment: a keyword may be `__proto__`.
    Object.defineProperty(this.#results, keyword, { value: result, enumerable: true, configurable: true, writable: true });
  }

  save() {
    write(RESULTS, this.#results);
  }

  clear() {
    this.#results = Object.create(null);
    this.save();
  }

  get batch() {
    return read(BATCH).id;
  }

  set batch(id) {
    write(BATCH, { id });
  }
}

function read(key) {
  const found = Object.create(null);
  try {
    for (const [name, value] of Object.entries(JSON.parse(localStorage.getItem(key)) ?? {})) {
      Object.defineProperty(found, name, { value, enumerable: true, configurable: true, writable: true });
    }
  } catch {
    // Storage may be switched off, or hold what another program has written.
  }
  return found;
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // It is full or switched off; the page works without it until it is closed.
  }
}
