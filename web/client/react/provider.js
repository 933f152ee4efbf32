"use client";
/** Which hub the components below read. */
import { createContext, createElement, useContext, useEffect, useMemo, useRef } from "react";
import { LazyHub } from "../lazy.js";

/**
 * @typedef {import("../index.js").Hub} Hub
 * @typedef {import("../index.js").Options} Options
 * @typedef {import("../lazy.js").Initial} Initial
 */

/** Without a provider it is the hub of the page's origin, of which each hook names its channel. */
const Context = createContext(new LazyHub());

/** The hub that the component reads. */
export function useLazyHub() {
  return useContext(Context);
}

/** @type {readonly string[]} */
const NO_CHANNELS = [];

/**
 * @typedef {object} ProviderProps
 * @property {Hub} [hub]          one that the page has connected to, and closes; instead of the options
 * @property {Initial} [initial]  statuses that a server has read, for its HTML and until the hub has answered
 * @property {import("react").ReactNode} [children]
 */

/**
 * Connects to a hub with the options of `connect`, and closes it when it is unmounted. Options may be written in place:
 * another connection is made only where their values have changed.
 * @param {Options & ProviderProps} props
 */
export function StatushubProvider({ children, hub, initial, channels, ...options }) {
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const key = keyOf(options);
  const lazy = useMemo(() => {
    return hub ? new LazyHub({ hub }, initial) : new LazyHub(current(options, latest), initial);
    // `initial` is of the first moment, and the key says which options there are.
  }, [hub, key]);
  const names = JSON.stringify([...(channels ?? NO_CHANNELS)]);
  useEffect(() => lazy.follow(JSON.parse(names), () => {}), [lazy, names]);
  return createElement(Context.Provider, { value: lazy }, children);
}

/** @param {Options} options */
function keyOf(options) {
  return JSON.stringify(Object.entries(options).sort(), (_, value) => {
    if (typeof value === "function") return "a function";
    if (value instanceof AbortSignal) return "a signal";
    return value instanceof Set ? [...value] : value;
  });
}

/**
 * The options, with functions that call those of the latest render.
 * @param {Options} options
 * @param {import("react").RefObject<Options>} latest
 * @returns {Options}
 */
function current(options, latest) {
  const { ticket, token } = options;
  return {
    ...options,
    ...(ticket && { ticket: () => /** @type {typeof ticket} */ (latest.current.ticket)() }),
    ...(typeof token === "function" && { token: () => /** @type {typeof token} */ (latest.current.token)() }),
  };
}
