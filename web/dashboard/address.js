/** The addresses of pages, which survive a reload and can be sent: `?channel=…&content=…`; without them, the overview. */

/**
 * @typedef {object} Place
 * @property {"overview" | "channel" | "content"} page
 * @property {string} channel
 * @property {string} content
 * @property {string[]} types  event types of the channel beside the hub's own
 * @property {string} query    what is searched for
 * @property {string} phase    the state that is filtered by, or empty
 * @property {string} sort
 */

/** @param {string} search  that of a location @returns {Place} */
export function placeOf(search) {
  const asked = new URLSearchParams(search);
  const channel = asked.get("channel")?.trim() ?? "";
  const content = channel ? (asked.get("content") ?? "") : "";
  return {
    page: content ? "content" : channel ? "channel" : "overview",
    channel,
    content,
    types: asked.getAll("type"),
    query: asked.get("q") ?? "",
    phase: asked.get("state") ?? "",
    sort: asked.get("sort") ?? "",
  };
}

/** @param {Partial<Place>} place @returns {string} relative to the page */
export function addressOf({ channel = "", content = "", types = [], query = "", phase = "", sort = "" }) {
  const asked = new URLSearchParams();
  if (channel) asked.set("channel", channel);
  if (channel && content) asked.set("content", content);
  for (const type of types) asked.append("type", type);
  if (query) asked.set("q", query);
  if (phase) asked.set("state", phase);
  if (sort) asked.set("sort", sort);
  const search = asked.toString();
  return search ? `?${search}` : "./";
}

/** The path of a channel's routes. @param {string} channel @param {string} [route] */
export function routeOf(channel, route = "") {
  const path = channel.split("/").map(encodeURIComponent).join("/");
  return `api/contents/${path}${route && `/${route}`}`;
}
