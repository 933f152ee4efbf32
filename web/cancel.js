/** The Cancel button of a card: asks the hub to cancel the work on its content. The stream then shows the request. */

/** How long the hub may take to answer. */
const ANSWER_MS = 10_000;

const PROBLEMS = new Map([
  [401, "Sign in to cancel this."],
  [403, "Your sign-in may not cancel this."],
  [404, "This is not there any more."],
  [409, "This has ended already."],
]);

const NO_ANSWER = "The hub does not answer. Try again.";

/** @param {string} channel  whose cards the page shows */
export function offerCancel(channel) {
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest(".cancel");
    if (!button) return;
    const row = button.closest(".row");
    const problem = row.querySelector(".problem");
    button.disabled = true;
    problem.textContent = await ask(channel, row.dataset.content);
    problem.hidden = !problem.textContent;
    button.disabled = false;
  });
}

/** @returns {Promise<string>} what is wrong; empty where the request is in force */
async function ask(channel, id) {
  const path = channel.split("/").map(encodeURIComponent).join("/");
  try {
    const answer = await fetch(`api/contents/${path}/cancel`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ content_id: id }),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    return answer.ok ? "" : (PROBLEMS.get(answer.status) ?? (await answer.json()).error?.message ?? NO_ANSWER);
  } catch {
    return NO_ANSWER;
  }
}
