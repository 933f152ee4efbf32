/** The commands that fill an empty channel, safe to paste whatever the channel is called. */

/** @param {string} channel */
export function encodeCommand(channel) {
  return `statushub encode clip.mp4 --channel ${quoted(channel)}`;
}

/**
 * @param {string} channel
 * @param {boolean} withToken  whether the hub wants one
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

/** The channel's name comes from the address bar, hence perhaps from a stranger's link, and ends up in a shell. */
function quoted(text) {
  return /^[\w.:/-]+$/.test(text) ? text : `'${escaped(text)}'`;
}

function escaped(text) {
  return text.replaceAll("'", "'\\''");
}
