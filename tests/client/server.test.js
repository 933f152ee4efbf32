/** What a server renders: the state that it is given, without a connection. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { createSSRApp, h } from "vue";
import { renderToString as renderVue } from "vue/server-renderer";
import * as react from "../../web/client/react.js";
import * as vue from "../../web/client/vue.js";

const INITIAL = { drafts: [{ content_id: "a", channel_id: "drafts", status: "generating", progress: 3 }] };

/** @param {readonly ({ id: string, phase: string } | undefined)[]} contents */
const said = (contents) => contents.map((content) => (content ? `${content.id} ${content.phase}` : "none")).join();

it("is rendered by React with the state that the server has read", () => {
  const { StatushubProvider, useBatch, useChannel, useContent, useHub } = react;
  function Drafts() {
    const { statusData, isRealTime, realTimeFailed } = react.useContentStatusWithFallback("drafts");
    const { readyState } = react.useContentEvents("drafts").eventSource;
    const texts = [
      said(useChannel("drafts")),
      said(useBatch(["z", "a"])),
      said([useContent("a")]),
      useHub().state,
      JSON.stringify([statusData?.total_processing, isRealTime, realTimeFailed, readyState]),
    ];
    return createElement("p", null, texts.join(" | "));
  }
  const page = createElement(StatushubProvider, { initial: INITIAL }, createElement(Drafts));
  assert.equal(
    renderToString(page),
    "<p>a processing | none,a processing | a processing | connecting | [1,false,false,0]</p>",
  );
  assert.equal(renderToString(createElement(Drafts)), "<p> | none,none | none | connecting | [null,false,false,0]</p>");
});

it("is rendered by Vue with the state that the server has read", async () => {
  const Drafts = {
    setup() {
      const [channel, batch, hub] = [vue.useChannel("drafts"), vue.useBatch(["z", "a"]), vue.useHub()];
      return () => h("p", [said(channel.value), said(batch.value), hub.value.state].join(" | "));
    },
  };
  const page = {
    setup() {
      vue.provideStatushub({ initial: INITIAL });
      return () => h(Drafts);
    },
  };
  assert.equal(await renderVue(createSSRApp(page)), "<p>a processing | none,a processing | connecting</p>");
});
