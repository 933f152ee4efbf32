/** Server-Sent Events by `fetch`, for tokens, which an `EventSource` cannot send, and where there is none. */
import { headersOf, isDenied, refusalOf } from "./answer.js";
import { parsed, streamAddress } from "./transport.js";

/** @type {import("./transport.js").Transport} */
export function open(opening) {
  const { lost } = opening;
  read(opening).then(lost, () => lost({ final: false }));
}

/**
 * @param {import("./transport.js").Opening} opening
 * @returns {Promise<import("./transport.js").Loss>}
 */
async function read(opening) {
  const { grant, cookies, signal, hear } = opening;
  const response = await fetch(streamAddress(opening), {
    cache: "no-store",
    credentials: cookies ? "include" : "same-origin",
    headers: { Accept: "text/event-stream", ...headersOf(grant) },
    signal,
  });
  const format = response.headers.get("Content-Type") ?? "";
  if (!response.ok || !response.body || !format.startsWith("text/event-stream")) {
    return { final: true, denied: isDenied(response), failure: await refusalOf(response) };
  }
  const parser = new Parser((type, id, data) => hear({ type, id, data: parsed(data) }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { final: false };
    parser.feed(value);
  }
}

/** The parser of HTML's event stream format, which keeps what is not complete yet. */
export class Parser {
  #dispatch;
  #rest = "";
  #type = "";
  #id = "";
  #data = /** @type {string[]} */ ([]);
  /** The last character was a CR, with which a following LF belongs. */
  #returned = false;

  /** @param {(type: string, id: string, data: string) => void} dispatch */
  constructor(dispatch) {
    this.#dispatch = dispatch;
  }

  /** @param {string} text */
  feed(text) {
    if (this.#returned && text.startsWith("\n")) text = text.slice(1);
    if (text) this.#returned = text.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = /** @type {string} */ (lines.pop());
    for (const line of lines) this.#line(line);
  }

  /** @param {string} line */
  #line(line) {
    if (!line) return this.#end();
    const [, field, value] = /** @type {RegExpExecArray} */ (/^([^:]*)(?:: ?(.*))?$/su.exec(line));
    if (field === "event") this.#type = value ?? "";
    else if (field === "data") this.#data.push(value ?? "");
    else if (field === "id" && !value?.includes("\0")) this.#id = value ?? "";
  }

  #end() {
    if (this.#data.length) this.#dispatch(this.#type || "message", this.#id, this.#data.join("\n"));
    this.#type = "";
    this.#data = [];
  }
}
