// Pages for the tests of the hooks: ?hub= is the hub's address, ?page= the component. Each counts its renders.
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { Profiler, StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { contentQueryOptions, syncQueryClient } from "statushub/query";
import {
  StatushubProvider,
  useBatch,
  useChannel,
  useContent,
  useContentEvents,
  useContentStatus,
  useContentStatusWithFallback,
  useContentWebSocket,
  useHub,
} from "statushub/react";

const options = new URLSearchParams(location.search);
const url = options.get("hub");

window.renders = {};
window.said = [];

/** Counts the commits of what is within. */
function Counted({ name, children }) {
  const counted = () => (window.renders[name] = (window.renders[name] ?? 0) + 1);
  return (
    <Profiler id={name} onRender={counted}>
      {children}
    </Profiler>
  );
}

function Row({ id }) {
  const content = useContent(id);
  return (
    <p id={id}>
      {content?.phase} {content?.data.text ?? content?.data.progress}
    </p>
  );
}

function Rows() {
  return ["a", "b", "c"].map((id) => (
    <Counted key={id} name={id}>
      <Row id={id} />
    </Counted>
  ));
}

function State() {
  const { state, ready, retry, hub } = useHub();
  window.hub = hub;
  return (
    <p>
      <output id="state">{ready ? state : `${state}, not ready`}</output> <button onClick={retry}>Retry</button>
    </p>
  );
}

function Batch() {
  const batch = useBatch(["a", "missing", "b"]);
  return <output id="batch">{JSON.stringify(batch.map((content) => content?.phase ?? null))}</output>;
}

function Channel() {
  return (
    <output id="channel">
      {useChannel("drafts")
        .map(({ id }) => id)
        .join(" ")}
    </output>
  );
}

const show = (value) => JSON.stringify(value, null, 1);

function Status({ enableRealTime }) {
  return <pre id="status">{show(useContentStatus("drafts", enableRealTime))}</pre>;
}

function Fallback() {
  return <pre id="fallback">{show(useContentStatusWithFallback("drafts"))}</pre>;
}

function Events() {
  const { eventSource } = useContentEvents("drafts");
  useEffect(() => {
    const tell = ({ type, data }) => window.said.push([type, data ? JSON.parse(data) : null, eventSource.readyState]);
    const types = ["content_status_update", "processing_complete", "content_removed", "ready", "reset", "open"];
    for (const type of types) eventSource.addEventListener(type, tell);
    eventSource.onmessage = tell;
    eventSource.onerror = tell;
    return () => {
      for (const type of types) eventSource.removeEventListener(type, tell);
    };
  }, [eventSource]);
}

function Socket() {
  const { socket } = useContentWebSocket("drafts");
  useEffect(() => {
    socket.onmessage = ({ data }) => window.said.push(JSON.parse(data));
    socket.onerror = () => window.said.push({ type: "failed" });
    socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe", channel_id: "drafts", user_id: 7 }));
  }, [socket]);
}

function Cached() {
  const fetchDrafts = async () => {
    const answer = await fetch(`${url}/api/contents/drafts`);
    return answer.json();
  };
  const list = useQuery({ queryKey: ["drafts"], queryFn: fetchDrafts });
  const one = useQuery(contentQueryOptions("a", { url }));
  return (
    <>
      <output id="list">
        {list.data?.contents.map((it) => `${it.content_id} ${it.status} ${it.progress}`).join()}
      </output>
      <output id="one">{one.data && `${one.data.status} ${one.data.progress}`}</output>
    </>
  );
}

/** A list of what has become of each item, which keeps when its end was shown. */
function Items({ statusData }) {
  const { processing_contents = [], completed_contents = [], failed_contents = [] } = statusData ?? {};
  const done = completed_contents.map(({ id }) => id).join();
  useEffect(() => {
    window.shown ??= {};
    for (const id of done.split(",").filter(Boolean)) window.shown[id] ??= Date.now();
  }, [done]);
  return [...processing_contents, ...completed_contents, ...failed_contents].map(({ id, status, progress }) => (
    <li key={id}>
      {id} {status} {progress}
    </li>
  ));
}

/** As teams have it: the whole list, every 3 s. */
function PolledItems() {
  const fetchStatus = async () => {
    const answer = await fetch(`${url}/api/contents/drafts/status`, { cache: "no-store" });
    return answer.json();
  };
  const { data } = useQuery({ queryKey: ["drafts"], queryFn: fetchStatus, refetchInterval: 3_000 });
  return <Items statusData={data} />;
}

function LiveItems() {
  return <Items statusData={useContentStatusWithFallback("drafts").statusData} />;
}

/** Components come and go as in a page with routes. */
function Toggled({ children }) {
  const [shown, setShown] = useState(true);
  return (
    <>
      <button onClick={() => setShown(!shown)}>Toggle</button>
      {shown && children}
    </>
  );
}

const pages = {
  rows: () => (
    <>
      <State />
      <Channel />
      <Batch />
      <Rows />
    </>
  ),
  toggled: () => (
    <Toggled>
      <State />
      <Channel />
    </Toggled>
  ),
  // The names that teams have, all of one channel.
  familiar: () => (
    <>
      <State />
      <Status enableRealTime />
      <Fallback />
      <Events />
    </>
  ),
  polled: () => <Status enableRealTime={false} />,
  socket: () => (
    <>
      <State />
      <Socket />
    </>
  ),
  cached: () => <Cached />,
  items_polled: () => <PolledItems />,
  items_live: () => <LiveItems />,
};

const Page = pages[options.get("page")];
const queryClient = new QueryClient();
if (options.get("page") === "cached") syncQueryClient(queryClient, { url, channel: "drafts", queryKey: ["drafts"] });

const channels = options.get("page") === "rows" ? ["drafts"] : [];
createRoot(document.getElementById("root")).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      {/* Connections that tabs share would hide a second one. */}
      <StatushubProvider url={url} channels={channels} share={false}>
        <Page />
      </StatushubProvider>
    </QueryClientProvider>
  </StrictMode>,
);
