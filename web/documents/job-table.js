/** The board of jobs: what runs, what has run, and what it took. */

const HISTORY = 50;
const NUMBERS = new Intl.NumberFormat();
const TIMES = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });

export class JobTable {
  #body;
  #empty;
  #totals;
  #cancel;

  /** @param {(id: string) => void} cancel  is called with a job that is to be cancelled */
  constructor(table, empty, totals, cancel) {
    this.#body = table.tBodies[0];
    this.#empty = empty;
    this.#totals = totals;
    this.#cancel = cancel;
  }

  show(jobs) {
    // The button that has the focus must not be replaced under the finger.
    const focused = document.activeElement?.dataset?.job;
    this.#body.replaceChildren(...jobs.slice(0, HISTORY).map((job) => this.#row(job)));
    if (focused) this.#body.querySelector(`[data-job="${CSS.escape(focused)}"]`)?.focus();
    this.#empty.hidden = jobs.length > 0;
    this.#sum(jobs);
  }

  #row(job) {
    const row = document.createElement("tr");
    row.dataset.phase = job.phase;
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = job.id;
    row.append(name);
    const status = job.phase === "processing" ? `${job.progress} %` : job.phase;
    text(row, status, "status").title = job.error ?? "";
    for (const value of [job.succeeded, job.failed, job.total]) text(row, NUMBERS.format(value), "number");
    text(row, duration(job.mean), "number");
    text(row, job.calls === undefined ? "–" : NUMBERS.format(job.calls), "number");
    text(row, Number.isNaN(job.began) ? "–" : TIMES.format(job.began));
    const actions = row.insertCell();
    if (job.phase === "processing" || job.phase === "pending") {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.job = job.id;
      button.textContent = "Cancel";
      button.setAttribute("aria-label", `Cancel ${job.id}`);
      button.addEventListener("click", () => this.#cancel(job.id));
      actions.append(button);
    }
    return row;
  }

  #sum(jobs) {
    const sum = (of) => jobs.reduce((all, job) => all + (of(job) || 0), 0);
    const over = sum((job) => job.over);
    const seconds = sum((job) => (job.mean ?? 0) * job.over);
    this.#totals.replaceChildren(
      ...total("Running", jobs.filter((job) => job.phase === "processing").length, "processing"),
      ...total("Succeeded", NUMBERS.format(sum((job) => job.succeeded)), "completed"),
      ...total("Failed", NUMBERS.format(sum((job) => job.failed)), "failed"),
      ...total("Mean time", duration(over ? seconds / over : undefined)),
      ...total("Calls of the source", NUMBERS.format(sum((job) => job.calls))),
    );
  }
}

function text(row, value, kind = "") {
  const cell = row.insertCell();
  cell.textContent = value;
  cell.className = kind;
  return cell;
}

function total(name, value, phase = "") {
  const group = document.createElement("div");
  const term = document.createElement("dt");
  const number = document.createElement("dd");
  group.dataset.phase = phase;
  term.textContent = name;
  number.textContent = value;
  group.append(term, number);
  return [group];
}

function duration(milliseconds) {
  if (milliseconds === undefined) return "–";
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
