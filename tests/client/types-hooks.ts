/** What TypeScript says of the declarations of the hooks: each error that is expected here has to be one. */
import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { createElement } from "react";
import { connect, type Content } from "statushub";
import { StatusList, words } from "statushub/elements";
import { contentQueryOptions, syncQueryClient } from "statushub/query";
import * as react from "statushub/react";
import * as vue from "statushub/vue";
import { ref, type Ref } from "vue";

const hub = connect({ url: "https://hub.example", channels: ["drafts"] });

createElement(react.StatushubProvider, { hub });
createElement(react.StatushubProvider, { url: "https://hub.example", channels: ["drafts"], ticket: async () => "t" });
// @ts-expect-error  there is no such transport
createElement(react.StatushubProvider, { transport: "carrier pigeon" });

export function Component() {
  const content: Content | undefined = react.useContent("a");
  const contents: readonly Content[] = react.useChannel("drafts");
  const batch: readonly (Content | undefined)[] = react.useBatch(["a"], { channel: "drafts" });
  const { state, ready, cancel } = react.useHub();
  const { statusData, isRealTime } = react.useContentStatus("drafts", false);
  const fallback = react.useContentStatusWithFallback("drafts");
  const { eventSource } = react.useContentEvents("drafts");
  const { socket } = react.useContentWebSocket("drafts");
  eventSource.onerror = () => {};
  socket.onerror = socket.onclose = null;
  // @ts-expect-error  it may not be known yet
  statusData.total_failed;
  // @ts-expect-error  a name is a text
  react.useChannel(7);
  const failed: boolean = fallback.realTimeFailed;
  const message: string | null | undefined = statusData?.failed_contents[0].error_message;
  return [content, contents, batch, state, ready, cancel("a"), isRealTime, failed, message, socket.readyState];
}

const client = new QueryClient();
const end: () => void = syncQueryClient(client, { hub, channel: "drafts", queryKey: ["drafts"] });
// @ts-expect-error  there is no list to patch without a key
syncQueryClient(client, { channel: "drafts" });
const one = new QueryObserver(client, contentQueryOptions("a", { url: "https://hub.example" }));
const progress: unknown = one.getCurrentResult().data?.progress;

const drafts: Readonly<Ref<readonly Content[]>> = vue.useChannel(ref("drafts"));
const draft: Readonly<Ref<Content | undefined>> = vue.useContent(() => "a", { channel: ref("drafts") });
// @ts-expect-error  it is read only
drafts.value = [];
vue.provideStatushub({ match: "jobs/**" });

words.completed = "Fertig";
const list: HTMLElement = new StatusList();

export { draft, end, list, progress };
