"use client";
/** Hooks by the names and with the results that teams have in their code, over the hub that all hooks share. */
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { ContentEvents, ContentSocket } from "../emulated.js";
import { summaryOf } from "../summary.js";
import { useFollow } from "./hooks.js";
import { useLazyHub } from "./provider.js";

/** @typedef {import("../summary.js").Summary} Summary */

/** Between polls of a page that wants no real time. */
const POLL_MS = 5_000;

/**
 * The channel's events, as of an `EventSource` that begins with the whole state. Handlers and listeners may be set in an
 * effect. `onerror` is called when real time has failed, not at each reconnect; events go on, from polls.
 * @param {string} channelId
 * @returns {{ eventSource: ContentEvents }}
 */
export function useContentEvents(channelId) {
  const lazy = useLazyHub();
  const eventSource = useMemo(() => new ContentEvents(lazy, channelId), [lazy, channelId]);
  useEffect(() => eventSource.attach(), [eventSource]);
  return { eventSource };
}

/**
 * The channel's events, as of a `WebSocket` that follows it unasked.
 * @param {string} channelId
 * @returns {{ socket: ContentSocket }}
 */
export function useContentWebSocket(channelId) {
  const lazy = useLazyHub();
  const socket = useMemo(() => new ContentSocket(lazy.sockets, channelId), [lazy, channelId]);
  useEffect(() => socket.attach(), [socket]);
  return { socket };
}

/**
 * The channel in three lists, as `GET /api/contents/{channel}/status` answers it; undefined until it is known.
 * @param {string} channelId
 * @param {boolean} [enableRealTime]  where it is false, the answer is polled every 5 s while the page is visible
 * @returns {{ statusData: Summary | undefined, isRealTime: boolean }}
 */
export function useContentStatus(channelId, enableRealTime = true) {
  const streamed = useStreamed(channelId, enableRealTime);
  const polled = usePolled(channelId, !enableRealTime);
  if (!enableRealTime) return { statusData: polled, isRealTime: false };
  return { statusData: streamed.statusData, isRealTime: streamed.isRealTime };
}

/**
 * As `useContentStatus`, and whether real time has failed, so that the data come from polls.
 * @param {string} channelId
 * @returns {{ statusData: Summary | undefined, isRealTime: boolean, realTimeFailed: boolean }}
 */
export function useContentStatusWithFallback(channelId) {
  return useStreamed(channelId, true);
}

/**
 * @param {string} channelId
 * @param {boolean} enabled
 */
function useStreamed(channelId, enabled) {
  const lazy = useLazyHub();
  const follow = useFollow(enabled ? channelId : undefined);
  const contents = useSyncExternalStore(
    follow,
    () => lazy.contents(channelId),
    () => lazy.initialContents(channelId),
  );
  const { ready, state, failing } = useSyncExternalStore(
    follow,
    () => lazy.view,
    () => lazy.firstView,
  );
  const summary = useMemo(() => summaryOf(contents), [contents]);
  const known = ready || contents.length > 0;
  return { statusData: known ? summary : undefined, isRealTime: state === "live", realTimeFailed: failing };
}

/**
 * @param {string} channelId
 * @param {boolean} enabled
 */
function usePolled(channelId, enabled) {
  const lazy = useLazyHub();
  const [polled, setPolled] = useState(/** @type {{ channelId: string, summary: Summary } | undefined} */ (undefined));
  useEffect(() => {
    if (!enabled) return undefined;
    let end = () => {};
    let over = false;
    import("../status-poll.js").then(({ pollStatus }) => {
      if (!over) end = pollStatus(lazy, channelId, POLL_MS, (summary) => setPolled({ channelId, summary }));
    });
    return () => {
      over = true;
      end();
    };
  }, [lazy, channelId, enabled]);
  return polled?.channelId === channelId ? polled.summary : undefined;
}
