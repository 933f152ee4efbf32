/** Where results open. What producers sent is untrusted: an address is used only where the hub's operator has said so. */

/** The URL below which this hub's results are; null where its operator named none. */
const RESULTS = base(/** @type {HTMLMetaElement | null} */ (document.querySelector("meta[name=results]"))?.content);

/** @typedef {"playlist" | "video" | "audio" | "image" | "text" | "link" | "path"} Kind */

/** What the page shows itself, by the end of a path. @type {[Kind, RegExp][]} */
const KINDS = [
  ["playlist", /\.m3u8$/i],
  ["video", /\.(mp4|m4v|webm|mov)$/i],
  ["audio", /\.(m4a|mp3|aac|ogg|wav)$/i],
  ["image", /\.(png|jpe?g|gif|webp|avif|svg)$/i],
  ["text", /\.(txt|log|json|csv|md|srt|vtt|ya?ml)$/i],
];

/**
 * The address of a result: an absolute one as it is, a relative one below `RESULTS`. A path of the worker's own machine
 * has none.
 * @param {string} text
 * @returns {string | null} its scheme is http or https, and never `javascript:` or `data:`
 */
export function addressOf(text) {
  const absolute = URL.canParse(text) ? new URL(text) : null;
  if (absolute) return /^https?:$/.test(absolute.protocol) ? absolute.href : null;
  if (!RESULTS || !URL.canParse(text, RESULTS)) return null;
  const { href } = new URL(text, RESULTS);
  return href.startsWith(RESULTS) ? href : null;
}

/** @param {string} address @returns {Kind} what the page can make of it; a link where it may not load it */
export function kindOf(address) {
  if (!isOurs(address)) return "link";
  const { pathname } = new URL(address);
  return KINDS.find(([, end]) => end.test(pathname))?.[0] ?? "link";
}

/** Whether the page may load it: it lies below `RESULTS`. @param {string} address */
export function isOurs(address) {
  return RESULTS !== null && address.startsWith(RESULTS);
}

/** @param {string | undefined} text */
function base(text) {
  if (!text) return null;
  const url = new URL(text, document.baseURI);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url.href;
}
