/** The composables on a hub in memory, in components without a page. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { createRenderer, h, nextTick, ref } from "vue";
import { MemoryHub } from "./memory-hub.js";

// The composables take what has no window for a server.
Object.assign(globalThis, { window: globalThis });
const { provideStatushub, useBatch, useChannel, useContent, useHub } = await import("../../web/client/vue.js");

/** A renderer that draws nothing. */
const { createApp } = createRenderer(
  /** @type {any} */ ({
    createElement: () => ({}),
    createText: () => ({}),
    createComment: () => ({}),
    insert: () => {},
    remove: () => {},
    setText: () => {},
    setElementText: () => {},
    patchProp: () => {},
    parentNode: () => null,
    nextSibling: () => null,
  }),
);

it("follows names and ids that are refs, and returns the same values while nothing has changed", async () => {
  const hub = new MemoryHub({ channels: ["a"] });
  const channel = ref("a");
  const id = ref("1");
  /** @type {any} */
  let used;
  let renders = 0;
  const Inner = {
    setup() {
      used = {
        content: useContent(() => id.value, { channel }),
        contents: useChannel(channel),
        batch: useBatch(() => [id.value, "2"]),
        hub: useHub(),
      };
      return () => h("p", `${(renders += 1)} ${used.content.value?.phase}`);
    },
  };
  const app = createApp({
    setup() {
      provideStatushub({ hub: /** @type {any} */ (hub) });
      return () => h(Inner);
    },
  });
  app.mount({});
  await nextTick();
  hub.put("a", "1", "generating");
  hub.put("b", "3", "complete");
  hub.become("live");
  hub.frame();
  await nextTick();
  assert.equal(used.content.value.phase, "processing");
  assert.deepEqual(
    used.contents.value.map((/** @type {any} */ content) => content.id),
    ["1"],
  );
  assert.equal(used.hub.value.state, "live");
  assert.equal(renders, 2);

  const before = used.batch.value;
  hub.put("b", "4", "generating");
  hub.frame();
  await nextTick();
  assert.equal(used.batch.value, before);
  assert.equal(renders, 2);

  channel.value = "b";
  id.value = "3";
  await nextTick();
  assert.deepEqual(
    used.contents.value.map((/** @type {any} */ content) => content.id),
    ["4", "3"],
  );
  assert.equal(used.content.value.phase, "completed");
  assert.deepEqual(hub.channels(), ["a", "b"]);
  app.unmount();
  hub.remove("b", "3");
  hub.frame();
  assert.equal(used.content.value.phase, "completed");
});
