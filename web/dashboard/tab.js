/** The tab's title and icon: how far the work is, and whether something has failed. */

/** Pixels of the icon's edge: twice the size in which tabs show it. */
const SIZE = 32;

/** Steps of the ring: an icon that changed with each percent would be drawn more often than it is looked at. */
const STEPS = 20;

export class Tab {
  #icon = /** @type {HTMLLinkElement} */ (document.querySelector("link[rel=icon]"));
  #plain = this.#icon.href;
  #drawn = "";

  /**
   * @param {string} title  of the page
   * @param {{ progress?: number | null, running?: number, failed?: boolean }} [state]  `progress` is 0 to 100
   */
  show(title, { progress = null, running = 0, failed = false } = {}) {
    const begin = progress !== null ? `${Math.floor(progress)}% ` : running ? `(${running}) ` : "";
    const whole = `${failed ? "✕ " : ""}${begin}${title ? `${title} · ` : ""}Statushub`;
    if (document.title !== whole) document.title = whole;
    const step = progress === null ? null : Math.floor((progress / 100) * STEPS) / STEPS;
    const drawn = `${step} ${failed}`;
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const plain = step === null && !failed;
    this.#icon.type = plain ? "image/svg+xml" : "image/png";
    this.#icon.href = plain ? this.#plain : draw(step, failed);
  }
}

/**
 * @param {number | null} part
 * @param {boolean | undefined} failed
 * @returns {string} a `data:` address
 */
function draw(part, failed) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  const brush = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  brush.fillStyle = "#3b5bdb";
  brush.beginPath();
  brush.roundRect(0, 0, SIZE, SIZE, SIZE / 4);
  brush.fill();
  brush.lineWidth = 5;
  ring(brush, 1, "rgb(255 255 255 / 35%)");
  ring(brush, part ?? 0, "#ffffff");
  if (failed) {
    brush.fillStyle = "#e03131";
    brush.beginPath();
    brush.arc(SIZE * 0.72, SIZE * 0.72, SIZE * 0.27, 0, 2 * Math.PI);
    brush.fill();
  }
  return canvas.toDataURL();
}

/**
 * @param {CanvasRenderingContext2D} brush
 * @param {number} part
 * @param {string} style
 */
function ring(brush, part, style) {
  brush.strokeStyle = style;
  brush.beginPath();
  brush.arc(SIZE / 2, SIZE / 2, SIZE * 0.3, -Math.PI / 2, -Math.PI / 2 + part * 2 * Math.PI);
  brush.stroke();
}
