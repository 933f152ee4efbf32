"use client";
/** Hooks that read contents. Each renders again only when what it returns has changed, at most once a frame. */
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { useLazyHub } from "./provider.js";

/**
 * @typedef {import("../index.js").Content} Content
 * @typedef {import("../lazy.js").HubView} HubView
 */

/**
 * The state of one content; undefined while it is unknown. With a `channel`, that channel is followed.
 * @param {string} id
 * @param {{ channel?: string }} [options]
 * @returns {Content | undefined}
 */
export function useContent(id, { channel } = {}) {
  const lazy = useLazyHub();
  return useSyncExternalStore(
    useFollow(channel),
    () => lazy.get(id, channel),
    () => lazy.initial(id, channel),
  );
}

/**
 * All contents of a channel, which is followed; those that changed last are the first.
 * @param {string} channel
 * @returns {readonly Content[]}
 */
export function useChannel(channel) {
  const lazy = useLazyHub();
  return useSyncExternalStore(
    useFollow(channel),
    () => lazy.contents(channel),
    () => lazy.initialContents(channel),
  );
}

/**
 * The states of some contents, in the order of the ids; undefined for each that is unknown.
 * @param {readonly string[]} ids
 * @param {{ channel?: string }} [options]
 * @returns {readonly (Content | undefined)[]}
 */
export function useBatch(ids, { channel } = {}) {
  const lazy = useLazyHub();
  const key = JSON.stringify(ids);
  const [now, first] = useMemo(() => {
    /** @type {string[]} */
    const names = JSON.parse(key);
    return [
      unchanged(() => names.map((id) => lazy.get(id, channel))),
      unchanged(() => names.map((id) => lazy.initial(id, channel))),
    ];
  }, [lazy, channel, key]);
  return useSyncExternalStore(useFollow(channel), now, first);
}

/**
 * The connection: its state and reason, whether the whole state is here, and the hub itself.
 * @returns {HubView}
 */
export function useHub() {
  const lazy = useLazyHub();
  return useSyncExternalStore(
    useFollow(),
    () => lazy.view,
    () => lazy.firstView,
  );
}

/**
 * @param {string} [channel]
 * @returns {(listener: () => void) => () => void}
 */
export function useFollow(channel) {
  const lazy = useLazyHub();
  return useCallback((listener) => lazy.follow(channel === undefined ? [] : [channel], listener), [lazy, channel]);
}

/**
 * Returns the same array while its items are the same.
 * @template T
 * @param {() => readonly T[]} read
 */
function unchanged(read) {
  /** @type {readonly T[] | undefined} */
  let last;
  return () => {
    const items = read();
    if (items.length !== last?.length || items.some((item, index) => item !== last?.[index]))
      last = Object.freeze(items);
    return /** @type {readonly T[]} */ (last);
  };
}
