/** What is followed: a topic is the name of a channel or, where it has a `*`, which names have not, a pattern. */

/** @param {string} topic */
export function isPattern(topic) {
  return topic.includes("*");
}

/**
 * Whether one of the topics names a channel.
 * @param {...string} topics
 * @returns {(channel: string) => boolean}
 */
export function namedBy(...topics) {
  const tests = topics.map(testOf);
  return (channel) => tests.some((test) => test(channel));
}

/**
 * Of a pattern, `*` is any run of characters within a segment, `**` across segments.
 * @param {string} topic
 * @returns {(channel: string) => boolean}
 */
function testOf(topic) {
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
  const one = topics.length === 1 && !isPattern(first);
  const address = new URL(one ? `api/contents/${encodeURIComponent(first)}/${leaf}` : `api/${leaf}`, hub);
  if (!one) for (const topic of topics) address.searchParams.append(isPattern(topic) ? "match" : "channel", topic);
  return address;
}

/** Most channels and patterns of one stream, a limit of the hub. */
export const TOPICS_MAX = 64;
