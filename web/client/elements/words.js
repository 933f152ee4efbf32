/** What elements say, to be replaced by a page in another language before they are shown. */
export const words = {
  pending: "Pending",
  processing: "Processing",
  completed: "Completed",
  failed: "Failed",
  idle: "Idle",

  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  polling: "Live, with a delay",
  offline: "Offline",
  refused: "Access refused",
  closed: "Closed",

  empty: "Nothing here yet",
  /** @param {number} count */
  more: (count) => `and ${count} more`,
  /** @param {{ running: number, failed: number }} counts */
  counts: ({ running, failed }) => (failed ? `${running} running, ${failed} failed` : `${running} running`),
};
