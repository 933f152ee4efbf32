/** What is followed: a topic is the name of a channel or, where it has a `*`, which names have not, a pattern. */

/** @param {string} topic */
export function isPattern(topic) {
  return topic.includes("*");
}

/**
 * Whether a topic names a channel: `*` is any run of characters within a segment, `**` across segments.
 * @param {string} topic
 * @returns {(channel: string) => boolean}
 */
export function namedBy(topic) {
  if (!isPattern(topic)) return (channel) => channel === topic;
  const parts = topic.split(/(\*+)/).map((part) => {
    if (part === "*") return "[^/]*";
    return part.startsWith("*") ? ".*" : part.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
  });
  const expression = new RegExp(`^${parts.join("")}$`, "su");
  return (channel) => expression.test(channel);
}

/**
 * The address of the stream (`events`) or the poll (`changes`) of topics.
 * @param {URL} hub
 * @param {string[]} topics
 * @param {"events" | "changes"} leaf
 */
export function addressOf(hub, topics, leaf) {
  const [first] = topics;
  if (topics.length === 1 && !isPattern(first)) {
    return new URL(`api/contents/${encodeURIComponent(first)}/${leaf}`, hub);
  }
  const address = new URL(`api/${leaf}`, hub);
  for (const topic of topics) address.searchParams.append(isPattern(topic) ? "match" : "channel", topic);
  // The poll of several channels needs a pattern, and each channel's name is one that names only that.
  if (leaf === "changes" && !topics.some(isPattern)) {
    if (topics.length === TOPICS_MAX) address.searchParams.delete("channel", first);
    address.searchParams.append("match", first);
  }
  return address;
}

/** Most channels and patterns of one stream, a limit of the hub. */
export const TOPICS_MAX = 64;
