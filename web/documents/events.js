/** Follows a channel of the hub by an EventSource, which reconnects by itself, and by none where it is refused. */

/** Between two tries where the hub has answered with an error: long enough for it to start again. */
const AGAIN_MS = 5_000;

/**
 * @param {string} channel
 * @param {object} on
 * @param {(content: object) => void} on.content  the state of a content, as the hub has it now
 * @param {(id: string) => void} [on.removed]
 * @param {() => void} [on.reset]  what is known of the channel is void, and comes anew
 * @param {() => void} [on.ready]  everything that there is has come
 * @param {(state: "connecting" | "live" | "refused", status?: number) => void} [on.state]
 * @param {URL} base  of the hub
 * @returns {() => void} ends it
 */
export function follow(channel, on, base) {
  const url = new URL(`api/contents/${encodeURIComponent(channel)}/events?events=message`, base);
  let source;
  let timer;
  let ended = false;

  function open() {
    source = new EventSource(url);
    source.onopen = () => on.state?.("live");
    source.onmessage = (event) => take(JSON.parse(event.data));
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) refused();
      else on.state?.("connecting");
    };
  }

  function take(data) {
    if (data.type === "content_removed") on.removed?.(data.content_id);
    else if (data.type === "reset") on.reset?.();
    else if (data.type === "ready") on.ready?.();
    else if (typeof data.content_id === "string") on.content(data);
  }

  /** An EventSource does not say why it was refused; a poll of the same channel does. */
  async function refused() {
    let status;
    try {
      status = (await fetch(new URL(`api/contents/${encodeURIComponent(channel)}?limit=1`, base))).status;
    } catch {
      status = undefined;
    }
    if (ended) return;
    on.state?.(status === 401 || status === 403 ? "refused" : "connecting", status);
    timer = setTimeout(open, AGAIN_MS);
  }

  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    source.close();
  };
}
