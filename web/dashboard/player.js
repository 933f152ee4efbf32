/** The result of a content in the page: a video, a sound, a picture, a text, a link; or why it cannot be opened. */
import { h, write } from "./dom.js";
import { sizeOf } from "./facts.js";
import { t } from "./language.js";

const HLS_TYPE = "application/vnd.apple.mpegurl";

/** Longest part of a text that is shown. */
const TEXT_BYTES = 64_000;

/** What `MediaError.code` says (HTML, section 4.8.11.1). */
/** @type {Record<number, string>} */
const FAILURES = { 2: "networkFailed", 3: "damaged", 4: "cannotPlay" };

/**
 * Loads hls.js, which only a browser without HLS of its own needs.
 * @returns {Promise<any>}
 */
async function loadHls() {
  // Its code is not ours to check.
  return (await import(/** @type {string} */ ("../vendor/hls.light.min.mjs"))).default;
}

export class Player {
  #stage = h("div", { class: "stage" });
  #message = h("p", { class: "complaint", id: "result-message", role: "alert", hidden: true });
  #link = h("a", { id: "result-link", target: "_blank", rel: "noopener noreferrer" }, t("newTab"));
  #path = h("code", { class: "path", hidden: true });
  #hint = h("p", { class: "aside", hidden: true });
  /** @type {any} */
  #hls = null;
  #shown = "";
  #aborted = new AbortController();

  element = h(
    "section",
    { class: "panel", id: "result", hidden: true },
    h("div", { class: "panel-head" }, h("h2", {}, t("result")), this.#link),
    this.#message,
    this.#stage,
    this.#path,
    this.#hint,
  );

  /**
   * @param {ReturnType<typeof import("./status.js").resultOf>} result
   * @param {string} title
   */
  show(result, title) {
    this.element.hidden = !result;
    const key = result ? `${result.kind} ${result.address} ${result.text}` : "";
    if (key === this.#shown) return;
    this.close();
    this.#shown = key;
    this.#aborted = new AbortController();
    if (!result) return;
    this.#link.hidden = !result.address;
    if (result.address) this.#link.href = result.address;
    else this.#link.removeAttribute("href");
    write(this.#path, result.kind === "path" || result.kind === "link" ? result.text : "");
    write(this.#hint, result.kind === "path" ? t("path") : "");
    if (result.address && result.kind !== "link") this.#open(result.address, result.kind, title, this.#aborted.signal);
  }

  /** Ends what plays and loads. */
  close() {
    this.#aborted.abort();
    this.#hls?.destroy();
    this.#hls = null;
    const media = this.#stage.querySelector("video, audio");
    media?.removeAttribute("src");
    media?.load();
    this.#stage.replaceChildren();
    write(this.#message, "");
    this.#shown = "";
  }

  /**
   * @param {string} address
   * @param {string} kind
   * @param {string} title
   * @param {AbortSignal} signal
   */
  async #open(address, kind, title, signal) {
    const complaint = await reasonAgainst(address, signal);
    if (signal.aborted) return;
    if (complaint) return this.#complain(complaint);
    if (kind === "image") {
      const image = h("img", { class: "picture", src: address, alt: title, referrerpolicy: "no-referrer" });
      image.addEventListener("error", () => this.#complain(t("damaged")), { signal });
      this.#stage.replaceChildren(image);
    } else if (kind === "text") this.#read(address, signal);
    else this.#play(address, kind, title, signal);
  }

  /**
   * @param {string} address
   * @param {string} kind
   * @param {string} title
   * @param {AbortSignal} signal
   */
  async #play(address, kind, title, signal) {
    const media = h(kind === "audio" ? "audio" : "video", {
      id: "result-media",
      controls: true,
      playsinline: true,
      preload: "metadata",
      "aria-label": title,
    });
    media.addEventListener("error", () => this.#complain(t(FAILURES[media.error?.code] ?? "cannotOpen")), { signal });
    this.#stage.replaceChildren(media);
    if (kind !== "playlist" || media.canPlayType(HLS_TYPE)) {
      media.src = address;
      return;
    }
    const Hls = await loadHls().catch(() => null);
    if (signal.aborted) return;
    if (!Hls?.isSupported()) return this.#complain(t("cannotPlay"));
    // Its worker would be made from a text, which the page's policy forbids.
    const hls = (this.#hls = new Hls({ enableWorker: false, capLevelToPlayerSize: true }));
    hls.on(Hls.Events.ERROR, (/** @type {string} */ _, /** @type {any} */ { fatal, type, response }) => {
      if (!fatal) return;
      if (response?.code) this.#complain(t("partMissing", { status: response.code }));
      else this.#complain(t(type === Hls.ErrorTypes.NETWORK_ERROR ? "networkFailed" : "cannotPlay"));
    });
    hls.loadSource(address);
    hls.attachMedia(media);
  }

  /** @param {string} address @param {AbortSignal} signal */
  async #read(address, signal) {
    try {
      const answer = await fetch(address, {
        headers: { Range: `bytes=0-${TEXT_BYTES - 1}` },
        credentials: "same-origin",
        signal,
      });
      const text = (await answer.text()).slice(0, TEXT_BYTES);
      const size = Number(answer.headers.get("Content-Range")?.split("/")[1]);
      if (size > TEXT_BYTES) write(this.#hint, t("cutAt", { size: sizeOf(TEXT_BYTES) }));
      this.#stage.replaceChildren(h("pre", { class: "text", tabindex: "0", "aria-label": t("result") }, text));
    } catch {
      if (!signal.aborted) this.#complain(t("networkFailed"));
    }
  }

  /** @param {string} reason */
  #complain(reason) {
    const media = this.#stage.querySelector("video, audio, img");
    if (!media?.readyState) this.#stage.replaceChildren();
    this.#link.hidden = true;
    write(this.#message, reason);
  }
}

/**
 * Why the server refuses this address, by its message where there is one; empty where it does not.
 * @param {string} address
 * @param {AbortSignal} signal
 */
async function reasonAgainst(address, signal) {
  try {
    const answer = await fetch(address, { headers: { Range: "bytes=0-0" }, credentials: "same-origin", signal });
    if (answer.ok) {
      await answer.body?.cancel();
      return "";
    }
    const body = await answer.json().catch(() => null);
    return body?.error?.message ?? t("serverAnswers", { status: answer.status });
  } catch {
    return t("noServer");
  }
}
