/** Where results open. What producers sent is untrusted: an address is used only where the hub's operator has said so. */

/** The URL below which this hub's results are; null where its operator named none. */
export const RESULTS = base(document.querySelector("meta[name=results]")?.content);

/** What a browser plays, by the end of a path. */
const MEDIA = /\.(m3u8|mp4|m4v|webm|mov|m4a|mp3|aac|ogg|wav)$/i;

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

/** Whether the page may load it: it lies below `RESULTS`. */
export function isOurs(address) {
  return RESULTS !== null && address.startsWith(RESULTS);
}

/** Whether it is a video or sound. */
export function plays(address) {
  return MEDIA.test(new URL(address).pathname);
}

function base(text) {
  if (!text) return null;
  const url = new URL(text, document.baseURI);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url.href;
}
