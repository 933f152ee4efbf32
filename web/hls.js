/**
 * Plays HLS (RFC 8216) where the browser itself does not: a recording in fragmented MP4, as `statushub encode` makes it.
 * It takes the rendition that fits the screen, and loads half a minute ahead.
 */

/** Seconds that are loaded ahead of the position, and kept behind it. */
const AHEAD_SECONDS = 30;
const BEHIND_SECONDS = 60;

export class HlsPlayer {
  #video;
  #failed;
  #source = new MediaSource();
  #address = URL.createObjectURL(this.#source);
  #aborted = new AbortController();
  /** @type {{ address: string, start: number, end: number }[]} */
  #segments = [];
  #next = 0;
  #wake = () => {};

  /**
   * @param {HTMLVideoElement} video
   * @param {string} playlist  the address of the master playlist, or of a rendition's
   * @param {(reason: string) => void} failed
   */
  constructor(video, playlist, failed) {
    this.#video = video;
    this.#failed = failed;
    video.src = this.#address;
    for (const type of ["seeking", "timeupdate"]) {
      video.addEventListener(type, () => this.#wake(type), { signal: this.#aborted.signal });
    }
    this.#source.addEventListener("sourceopen", () => this.#run(playlist), { once: true });
  }

  /** Ends all requests. */
  close() {
    this.#aborted.abort();
    this.#wake();
    URL.revokeObjectURL(this.#address);
  }

  async #run(playlist) {
    try {
      const { type, map } = await this.#select(playlist);
      if (!MediaSource.isTypeSupported(type)) throw new Error("This browser cannot play it.");
      const buffer = this.#source.addSourceBuffer(type);
      this.#source.duration = this.#segments.at(-1).end;
      await append(buffer, await this.#bytes(map));
      while (!this.#aborted.signal.aborted) await this.#step(buffer);
    } catch (error) {
      if (!this.#aborted.signal.aborted) this.#failed(error.message);
    }
  }

  /** Appends the next segment, or waits until it is wanted. */
  async #step(buffer) {
    const { currentTime } = this.#video;
    const segment = this.#segments[this.#next];
    if (!segment || segment.start > currentTime + AHEAD_SECONDS) {
      if (!segment && this.#source.readyState === "open") this.#source.endOfStream();
      const reason = await new Promise((resolve) => (this.#wake = resolve));
      if (reason === "seeking") this.#seek(buffer);
      return;
    }
    await append(buffer, await this.#bytes(segment.address));
    this.#next += 1;
    const outdated = this.#video.currentTime - BEHIND_SECONDS;
    if (outdated > 0) await changed(buffer, () => buffer.remove(0, outdated));
  }

  /** Continues at the position, unless it is loaded. */
  #seek(buffer) {
    const { currentTime } = this.#video;
    for (let range = 0; range < buffer.buffered.length; range += 1) {
      if (buffer.buffered.start(range) <= currentTime && currentTime < buffer.buffered.end(range)) return;
    }
    this.#next = this.#segments.findIndex(({ end }) => currentTime < end);
    if (this.#next < 0) this.#next = this.#segments.length;
  }

  /** Reads the playlists. @returns {Promise<{ type: string, map: string }>} */
  async #select(playlist) {
    const lines = await this.#lines(playlist);
    const variants = variantsOf(lines, playlist);
    const height = Math.max(this.#video.clientHeight, 1) * devicePixelRatio;
    // The smallest that fills the screen, else the largest.
    const chosen = variants.find((variant) => variant.height >= height) ?? variants.at(-1);
    const address = chosen?.address ?? playlist;
    const media = chosen ? await this.#lines(address) : lines;
    const map = mapOf(media, address);
    this.#segments = segmentsOf(media, address);
    if (!map || !this.#segments.length) throw new Error("This browser cannot play it.");
    return { type: `video/mp4; codecs="${chosen?.codecs ?? ""}"`, map };
  }

  async #lines(address) {
    const answer = await this.#load(address);
    return (await answer.text()).split(/\r?\n/);
  }

  async #bytes(address) {
    return (await this.#load(address)).arrayBuffer();
  }

  async #load(address) {
    const answer = await fetch(address, { signal: this.#aborted.signal, credentials: "same-origin" });
    if (!answer.ok) throw new Error(`A part of it is missing: the server answers ${answer.status}.`);
    return answer;
  }
}

/** The renditions of a master playlist, the smallest first; none where it is that of a rendition. */
function variantsOf(lines, playlist) {
  const variants = [];
  lines.forEach((line, number) => {
    if (!line.startsWith("#EXT-X-STREAM-INF:")) return;
    const height = Number(/RESOLUTION=\d+x(\d+)/.exec(line)?.[1] ?? 0);
    const codecs = /CODECS="([^"]*)"/.exec(line)?.[1] ?? "";
    variants.push({ address: new URL(lines[number + 1], playlist).href, height, codecs });
  });
  return variants.sort((one, other) => one.height - other.height);
}

function mapOf(lines, playlist) {
  const uri = lines.map((line) => /^#EXT-X-MAP:.*URI="([^"]*)"/.exec(line)?.[1]).find(Boolean);
  return uri ? new URL(uri, playlist).href : null;
}

function segmentsOf(lines, playlist) {
  const segments = [];
  let start = 0;
  let duration = 0;
  for (const line of lines) {
    const stated = /^#EXTINF:([\d.]+)/.exec(line);
    if (stated) duration = Number(stated[1]);
    if (!line || line.startsWith("#")) continue;
    segments.push({ address: new URL(line, playlist).href, start, end: start + duration });
    start += duration;
  }
  return segments;
}

function append(buffer, bytes) {
  return changed(buffer, () => buffer.appendBuffer(bytes));
}

/** Resolves once the buffer has made a change. */
function changed(buffer, change) {
  return new Promise((resolve, reject) => {
    buffer.addEventListener("updateend", resolve, { once: true });
    buffer.addEventListener("error", () => reject(new Error("It is damaged.")), { once: true });
    change();
  });
}
