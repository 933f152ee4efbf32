/**
 * Custom elements: a live list in two lines of HTML.
 *
 *     <script type="module" src="https://hub.example/assets/client/elements.js"></script>
 *     <status-list channel="drafts"></status-list>
 *
 * To be imported on a server, too, where there are no elements.
 */
import { StatusBadge } from "./elements/badge.js";
import { StatusHub } from "./elements/hub.js";
import { StatusList } from "./elements/list.js";
import { StatusProgress } from "./elements/progress.js";

export { StatusBadge, StatusHub, StatusList, StatusProgress };
export { words } from "./elements/words.js";

if (globalThis.customElements) {
  // The hub first: those within it look for it.
  const elements = { "status-hub": StatusHub, "status-list": StatusList, "status-progress": StatusProgress };
  for (const [name, element] of Object.entries({ ...elements, "status-badge": StatusBadge })) {
    if (!customElements.get(name)) customElements.define(name, element);
  }
}
