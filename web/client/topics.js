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
  const literal = topic.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
  const expression = new RegExp(`^${literal.replace(/\*+/g, (stars) => (stars[1] ? ".*" : "[^/]*"))}$`, "su");
  return (channel) => expression.test(channel);
}

/** Most channels and patterns of one stream, a limit of the hub. */
export const TOPICS_MAX = 64;
