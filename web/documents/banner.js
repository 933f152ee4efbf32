/**
 * The progress of document counts at the top of a page. With `banner.css`:
 *
 *     import { banner } from "../documents/banner.js";
 *     document.body.prepend(banner());
 */

import { Jobs } from "./jobs.js";

const PAGE = new URL("../../documents/", import.meta.url);

/** The name of the job. */
export const DOCUMENTS = "documents";

/**
 * @param {Jobs} [jobs]  those of the page, where it follows them itself
 * @returns {HTMLElement} which is hidden while no counts run
 */
export function banner(jobs = new Jobs()) {
  const element = document.createElement("a");
  const label = document.createElement("span");
  const bar = document.createElement("progress");
  element.className = "documents-banner";
  element.href = PAGE.pathname;
  element.hidden = true;
  bar.max = 100;
  bar.setAttribute("aria-label", "Progress of document counts");
  element.append(label, bar);
  jobs.addEventListener("change", () => {
    const running = jobs.all().filter((job) => job.name === DOCUMENTS && ["processing", "pending"].includes(job.phase));
    const [first] = running;
    element.hidden = !first;
    if (!first) return;
    label.textContent = described(first, running.length - 1);
    bar.value = first.progress;
  });
  return element;
}

/** @param {any} job @param {number} waiting */
function described(job, waiting) {
  const failed = job.failed ? `, ${job.failed} failed` : "";
  const more = waiting ? `, ${waiting} more waiting` : "";
  return `Document counts: ${job.over} of ${job.total}${failed}${more}`;
}
