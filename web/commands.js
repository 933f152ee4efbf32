/** Commands that fill an empty channel, quoted so that every channel name is safe to paste. */

/** @param {string} channel */
export function encodeCommand(channel) {
  return `statushub encode clip.mp4 --channel ${quoted(channel)}`;
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
    `  -d '{"channel": ${name}, "content_id": "clip-1",`,
    `       "data": {"status": "generating", "progress": 42}}'`,
  ].join("\n");
}

/** The channel's name comes from the URL, perhaps from a malicious link, and ends up in a shell. */
function quoted(text) {
  return /^[\w.:/-]+$/.test(text) ? text : `'${escaped(text)}'`;
}

function escaped(text) {
  return text.replaceAll("'", "'\\''");
}
