/**
 * Vue: composables that read a hub.
 *
 *     provideStatushub({ url: "https://hub.example" }); // in the setup of an outer component
 *     const contents = useChannel("drafts");            // in that of an inner one
 *
 * Names and ids may be refs or getters.
 */
import { computed, inject, onScopeDispose, provide, shallowReadonly, shallowRef, unref, watch } from "vue";
import { LazyHub } from "./lazy.js";

/**
 * @typedef {import("./index.js").Content} Content
 * @typedef {import("./index.js").Hub} Hub
 * @typedef {import("./index.js").Options} Options
 * @typedef {import("./lazy.js").HubView} HubView
 */

/**
 * @template T
 * @typedef {T | import("vue").Ref<T> | (() => T)} Source
 */

const KEY = Symbol("statushub");

/** Without a provider it is the hub of the page's origin, of which each composable names its channel. */
const DEFAULT = new LazyHub();

/**
 * Connects the components below to a hub while they are mounted, with the options of `connect`.
 * @param {Options & { hub?: Hub, initial?: import("./lazy.js").Initial }} [options]
 */
export function provideStatushub({ initial, ...options } = {}) {
  const lazy = new LazyHub(options, initial);
  provide(KEY, lazy);
  if (typeof window !== "undefined") onScopeDispose(lazy.follow([], () => {}));
}

/**
 * The state of one content; undefined while it is unknown. With a `channel`, that channel is followed.
 * @param {Source<string>} id
 * @param {{ channel?: Source<string> }} [options]
 * @returns {Readonly<import("vue").Ref<Content | undefined>>}
 */
export function useContent(id, { channel } = {}) {
  return useRead(channel, (lazy, name) => lazy.get(valueOf(id), name));
}

/**
 * All contents of a channel, which is followed; those that changed last are the first.
 * @param {Source<string>} channel
 * @returns {Readonly<import("vue").Ref<readonly Content[]>>}
 */
export function useChannel(channel) {
  return useRead(channel, (lazy, name) => lazy.contents(/** @type {string} */ (name)));
}

/**
 * The states of some contents, in the order of the ids; undefined for each that is unknown.
 * @param {Source<readonly string[]>} ids
 * @param {{ channel?: Source<string> }} [options]
 * @returns {Readonly<import("vue").Ref<readonly (Content | undefined)[]>>}
 */
export function useBatch(ids, { channel } = {}) {
  /** @type {readonly (Content | undefined)[]} */
  let last = [];
  return useRead(channel, (lazy, name) => {
    const found = valueOf(ids).map((id) => lazy.get(id, name));
    if (found.length !== last.length || found.some((content, index) => content !== last[index])) last = found;
    return last;
  });
}

/**
 * The connection: its state and reason, whether the whole state is here, and the hub itself.
 * @returns {Readonly<import("vue").Ref<HubView>>}
 */
export function useHub() {
  return useRead(undefined, (lazy) => lazy.view);
}

/**
 * @template T
 * @param {Source<string> | undefined} channel
 * @param {(lazy: LazyHub, channel: string | undefined) => T} read
 * @returns {Readonly<import("vue").Ref<T>>}
 */
function useRead(channel, read) {
  const lazy = inject(KEY, DEFAULT);
  const name = computed(() => (channel === undefined ? undefined : valueOf(channel)));
  const value = shallowRef(read(lazy, name.value));
  // On a server nothing is followed: it would never end.
  if (typeof window !== "undefined") {
    const look = () => {
      value.value = read(lazy, name.value);
    };
    watch(name, (followed, _, onCleanup) => onCleanup(lazy.follow(followed === undefined ? [] : [followed], look)), {
      immediate: true,
    });
    // The ids may be a ref, too.
    watch(() => read(lazy, name.value), look, { flush: "sync" });
  }
  return shallowReadonly(value);
}

/**
 * @template T
 * @param {Source<T>} source
 * @returns {T}
 */
function valueOf(source) {
  return typeof source === "function" ? /** @type {() => T} */ (source)() : unref(source);
}
