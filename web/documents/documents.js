/** The page of document counts. */

import * as api from "./api.js";
import { banner } from "./banner.js";
import { catchUp, watch } from "./batch.js";
import { csv, download } from "./csv.js";
import { JobTable } from "./job-table.js";
import { Jobs } from "./jobs.js";
import { Store } from "./store.js";
import { ResultTable } from "./table.js";

/** Most keywords of one batch, and longest keyword, as the hub takes them. */
const KEYWORDS_MAX = 1000;

const element = (id) => document.getElementById(id);
const store = new Store();
const jobs = new Jobs();
const results = new ResultTable(element("results"));
const board = new JobTable(element("jobs"), element("no-jobs"), element("totals"), cancel);

const CONNECTIONS = {
  connecting: "Connecting…",
  live: "Live",
  refused: "This hub requires a token with read for jobs/**. Sign in on the dashboard first.",
};

let batch;
let unwatch = () => {};
let starting = false;

document.body.prepend(banner(jobs));
for (const [keyword, result] of store.entries()) results.show(keyword, result);
shown();
summarize();
if (store.batch) resume(store.batch);

jobs.addEventListener("change", () => {
  board.show(jobs.all());
  const connection = element("connection");
  connection.dataset.state = jobs.state;
  connection.textContent = CONNECTIONS[jobs.state];
  progress();
});
element("keywords").addEventListener("input", summarize);
element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
});
element("keywords").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) begin();
});
element("cancel").addEventListener("click", () => batch && cancel(batch));
element("download").addEventListener("click", () => {
  download(`document-counts-${new Date().toISOString().slice(0, 10)}.csv`, csv(results.rows()));
});
element("clear").addEventListener("click", () => {
  store.clear();
  results.clear();
  shown();
  summarize();
});

/** The keywords in the text, each once, and which of them are to be counted. */
function asked() {
  const words = element("keywords").value.split(/[\n,\t]/).map((word) => word.normalize("NFC").trim());
  const once = [...new Set(words.filter(Boolean))];
  return { once, wanted: once.filter((keyword) => !store.knows(keyword)) };
}

function summarize() {
  const { once, wanted } = asked();
  const known = once.length - wanted.length;
  const parts = once.length ? [`${wanted.length} to count`] : [];
  if (known) parts.push(`${known} known`);
  if (wanted.length > KEYWORDS_MAX) parts.push(`at most ${KEYWORDS_MAX} in one batch`);
  element("summary").textContent = parts.join(", ");
  element("start").disabled = starting || !wanted.length || wanted.length > KEYWORDS_MAX;
}

async function begin() {
  const { wanted } = asked();
  if (starting || !wanted.length || wanted.length > KEYWORDS_MAX) return;
  starting = true;
  summarize();
  complain("");
  try {
    const id = await api.start(wanted, element("priority").value);
    for (const keyword of wanted) results.show(keyword);
    element("keywords").value = "";
    shown();
    attach(id);
  } catch (error) {
    complain(error.message);
  }
  starting = false;
  summarize();
}

function attach(id) {
  unwatch();
  batch = id;
  store.batch = id;
  unwatch = watch(id, found);
  progress();
}

/** Back on the page: what came meanwhile, and then what comes. */
async function resume(id) {
  try {
    const job = await catchUp(id, found);
    if (job === null) {
      store.batch = undefined;
      return;
    }
    for (const keyword of job.keywords) if (!store.knows(keyword)) results.show(keyword);
    shown();
    attach(id);
  } catch (error) {
    complain(error.message);
  }
}

function found(keyword, result) {
  store.put(keyword, { ...result, at: Date.now() });
  results.show(keyword, result);
  later();
}

let saving = false;

/** Saves once for many results that come together. */
function later() {
  if (saving) return;
  saving = true;
  setTimeout(() => {
    saving = false;
    store.save();
    shown();
    summarize();
  }, 100);
}

addEventListener("pagehide", () => store.save());

function shown() {
  element("no-results").hidden = results.size > 0;
  element("results").hidden = !results.size;
  element("download").disabled = results.rows().length < 2;
  element("clear").disabled = !results.size;
}

function progress() {
  const job = batch && jobs.get(batch);
  element("batch").hidden = !job;
  if (!job) return;
  const running = job.phase === "processing" || job.phase === "pending";
  const parts = [`${job.over} of ${job.total}`];
  if (job.failed) parts.push(`${job.failed} failed`);
  if (job.remaining && running) parts.push(`about ${Math.ceil(job.remaining)} s left`);
  if (!running) parts.push(job.phase === "failed" ? (job.error ?? "failed") : "complete");
  element("batch").dataset.phase = job.phase;
  element("batch-label").textContent = parts.join(", ");
  element("batch-progress").value = job.progress / 100;
  element("cancel").hidden = !running;
}

async function cancel(id) {
  try {
    await api.cancel(id);
  } catch (error) {
    complain(error.message);
  }
}

function complain(message) {
  element("notice").textContent = message;
  element("notice").hidden = !message;
}
