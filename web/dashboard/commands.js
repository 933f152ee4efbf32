/**
 * Commands that fill an empty channel, quoted so that every channel name is safe to paste. Their content ids are new on
 * each page: a content lives in one channel, and one that has ended stays ended.
 */

/** Bytes of the random part of an id. */
const ID_BYTES = 4;

/** @param {string} channel */
export function encodeCommand(channel) {
  return `statushub encode clip.mp4 --channel ${quoted(channel)} --content-id ${newId()}`;
}

/**
 * @param {string} channel
 * @param {boolean} withToken  whether the hub requires one
 */
export function publishCommand(channel, withToken) {
  const address = new URL("api/publish", document.baseURI);
  const name = escaped(JSON.stringify(channel));
  return [
    `curl ${quoted(address.href)} \\`,
    ...(withToken ? ['  -H "authorization: Bearer $STATUSHUB_TOKEN" \\'] : []),
    "  -H 'content-type: application/json' \\",
    `  -d '{"channel": ${name}, "content_id": "${newId()}",`,
    `       "data": {"status": "generating", "progress": 42}}'`,
  ].join("\n");
}

/**
 * The channel's name comes from the URL, perhaps from a malicious link, and ends up in a shell.
 * @param {string} text
 */
function quoted(text) {
  return /^[\w.:/-]+$/.test(text) ? text : `'${escaped(text)}'`;
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("'", "'\\''");
}

function newId() {
  const random = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return `clip-${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
