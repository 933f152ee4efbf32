/**
 * `<status-badge>`: with a `content-id` the phase of that content, with only a `channel` how many of its contents run
 * and have failed, and with neither the state of the connection.
 */
import { StatusElement } from "./element.js";
import { Badge } from "./shown.js";
import { words } from "./words.js";

export class StatusBadge extends StatusElement {
  #badge = /** @type {Badge | undefined} */ (undefined);

  /** @param {ShadowRoot} root @override */
  build(root) {
    this.#badge = new Badge({ "aria-live": "polite" });
    root.append(this.#badge.element);
  }

  /** @override */
  render() {
    const [kind, text] = this.#said();
    this.#badge?.show(kind, text);
  }

  /** @returns {[string, string]} */
  #said() {
    if (this.hasAttribute("content-id")) {
      const phase = this.content?.phase;
      return phase ? [phase, words[phase]] : ["", "…"];
    }
    if (!this.channel) {
      const { state } = this.lazy.view;
      return [state, words[state]];
    }
    const contents = this.lazy.contents(this.channel);
    const running = contents.filter(({ phase }) => phase === "processing").length;
    const failed = contents.filter(({ phase }) => phase === "failed").length;
    return [failed ? "failed" : running ? "processing" : "idle", words.counts({ running, failed })];
  }
}
