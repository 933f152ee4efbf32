/** The table of results, which fills as they come. */

const NUMBERS = new Intl.NumberFormat();

export class ResultTable {
  #head;
  #body;
  #categories = [];
  #rows = new Map();

  /** @param {HTMLTableElement} table */
  constructor(table) {
    this.#head = table.tHead.rows[0];
    this.#body = table.tBodies[0];
  }

  get size() {
    return this.#rows.size;
  }

  /** @param {object} [result]  `{counts}` or `{error}`; none while the keyword waits */
  show(keyword, result) {
    if (!this.#rows.has(keyword)) {
      const row = this.#body.insertRow();
      const name = document.createElement("th");
      name.scope = "row";
      name.textContent = keyword;
      row.append(name);
      this.#rows.set(keyword, { row, result: undefined });
    }
    const entry = this.#rows.get(keyword);
    entry.result = result ?? entry.result;
    for (const category of Object.keys(entry.result?.counts ?? {})) this.#column(category);
    this.#fill(entry);
  }

  clear() {
    this.#rows.clear();
    this.#categories = [];
    this.#body.replaceChildren();
    while (this.#head.cells.length > 1) this.#head.deleteCell(-1);
  }

  /** The table's rows, the head first, numbers as numbers. */
  rows() {
    const rows = [["Keyword", ...this.#categories]];
    for (const [keyword, { result }] of this.#rows) {
      if (result?.counts) rows.push([keyword, ...this.#categories.map((category) => result.counts[category] ?? "")]);
    }
    return rows;
  }

  #column(category) {
    if (this.#categories.includes(category)) return;
    this.#categories.push(category);
    const head = document.createElement("th");
    head.scope = "col";
    head.className = "number";
    head.textContent = category;
    this.#head.append(head);
    for (const entry of this.#rows.values()) this.#fill(entry);
  }

  #fill({ row, result }) {
    while (row.cells.length > 1) row.deleteCell(-1);
    row.dataset.phase = result?.error ? "failed" : result ? "completed" : "pending";
    if (!result?.counts) {
      const cell = row.insertCell();
      cell.colSpan = Math.max(1, this.#categories.length);
      cell.className = "note";
      cell.textContent = result?.error ?? "waiting";
      return;
    }
    for (const category of this.#categories) {
      const cell = row.insertCell();
      cell.className = "number";
      const count = result.counts[category];
      cell.textContent = count === undefined ? "–" : NUMBERS.format(count);
    }
  }
}
