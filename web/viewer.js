/** Opens a result in the page: plays it, or says why it cannot be opened. */
import { HlsPlayer } from "./hls.js";
import { isOurs, plays } from "./results.js";

const HLS_TYPE = "application/vnd.apple.mpegurl";

/** What `MediaError.code` says (HTML, section 4.8.11.1). */
const FAILURES = {
  2: "The network failed while it was loaded.",
  3: "It is damaged.",
  4: "This browser cannot play it.",
};

const element = (id) => document.getElementById(id);

export class Viewer {
  #dialog = element("viewer");
  #video = element("viewer-video");
  #message = element("viewer-message");
  /** @type {HlsPlayer | null} */
  #player = null;
  /** Identifies the result that is open: an answer that arrives later is for none. */
  #opening = {};

  constructor() {
    document.addEventListener("click", (event) => this.#clicked(event));
    this.#dialog.addEventListener("close", () => this.#stop());
    element("viewer-close").addEventListener("click", () => this.#dialog.close());
    this.#video.addEventListener("error", () => this.#complain(FAILURES[this.#video.error?.code]));
  }

  /** A click with a key, or with another button, is the browser's own: a new tab, a download. */
  #clicked(event) {
    const link = event.target.closest("a.result[href]");
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || !isOurs(link.href)) return;
    event.preventDefault();
    this.#open(link.href, link.dataset.title);
  }

  async #open(address, title) {
    const opening = (this.#opening = {});
    const complaint = await reasonAgainst(address);
    if (this.#opening !== opening) return;
    if (!complaint && !plays(address)) return void window.open(address, "_blank", "noopener");
    element("viewer-title").textContent = title;
    element("viewer-link").href = address;
    this.#dialog.showModal();
    this.#message.textContent = "";
    element("viewer-link").hidden = Boolean(complaint);
    this.#video.hidden = Boolean(complaint);
    if (complaint) this.#complain(complaint);
    else this.#play(address);
  }

  #play(address) {
    const isPlaylist = new URL(address).pathname.endsWith(".m3u8");
    if (!isPlaylist || this.#video.canPlayType(HLS_TYPE)) {
      this.#video.src = address;
    } else {
      this.#player = new HlsPlayer(this.#video, address, (reason) => this.#complain(reason));
    }
    // Browsers may forbid sound that no click began; the controls remain.
    this.#video.play().catch(() => {});
  }

  #complain(reason = "It cannot be opened.") {
    if (!this.#dialog.open) return;
    this.#video.hidden = !this.#video.readyState;
    this.#message.textContent = reason;
  }

  #stop() {
    this.#opening = {};
    this.#player?.close();
    this.#player = null;
    this.#video.removeAttribute("src");
    this.#video.load();
  }
}

/** Why the server refuses this address, by its message where there is one; empty where it does not. */
async function reasonAgainst(address) {
  try {
    const answer = await fetch(address, { headers: { Range: "bytes=0-0" }, credentials: "same-origin" });
    if (answer.ok) {
      await answer.body?.cancel();
      return "";
    }
    const body = await answer.json().catch(() => null);
    return body?.error?.message ?? `The server answers ${answer.status}.`;
  } catch {
    return "The server does not answer, or does not allow this page to load it.";
  }
}
