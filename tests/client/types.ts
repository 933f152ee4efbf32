/** What TypeScript says of the package's declarations: each error that is expected here has to be one. */
import { connect, type Change, type Content, Hub, HubError, type State } from "statushub";

const hub: Hub = connect({ url: "https://hub.example", channels: ["encodes"], token: async () => "token" });
connect({ match: "jobs/**", ticket: () => "ticket", transport: "websocket", signal: new AbortController().signal });
connect({ contentIds: new Set(["a"]), types: ["my_type"], credentials: true, share: false });
// @ts-expect-error  there is no such transport
connect({ channels: ["c"], transport: "carrier pigeon" });
// @ts-expect-error  a list of channels
connect({ channels: 7 });

const contents: readonly Content[] = hub.contents("encodes");
const content: Content | undefined = hub.get("clip-1");
const progress: unknown = content?.data.progress;
const phase: "pending" | "processing" | "completed" | "failed" | "idle" | undefined = content?.phase;
const state: State = hub.state;
const reason: string | null = hub.reason;
const error: HubError | null = hub.error;
const status: number | undefined = error?.status;
const offset: number = hub.clockOffset;
// @ts-expect-error  contents are immutable
contents[0].phase = "completed";
// @ts-expect-error  so is the list
contents.push(contents[0]);
// @ts-expect-error  it may not be there
hub.get("clip-1").phase;

const off: () => void = hub.subscribe(() => {});
const count = hub.select((it) => it.contents().length);
const many: number = count.get();
// @ts-expect-error  it is a number
const few: string = count.get();
hub.on("status", (change: Change) => change.content?.data);
// @ts-expect-error  there is no such event
hub.on("message", () => {});

const ended: Promise<Content> = hub.until("clip-1", { channel: "encodes", signal: AbortSignal.timeout(1) });
const cancelled: Promise<void> = hub.cancel("clip-1", { reason: "no longer needed" });
const release: () => void = hub.keep();
for await (const change of hub) {
  const kind: "status" | "removed" | "reset" | "ready" = change.kind;
  console.log(kind);
}
hub.add("a", "b");
hub.drop("a");
hub.retry();
hub.close();

export { cancelled, ended, few, many, off, offset, phase, progress, reason, release, state, status };
