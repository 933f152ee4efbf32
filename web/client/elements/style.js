/**
 * The style of all elements. Texts have the page's colour and the rest is mixed from it, so that it fits a light and a
 * dark page; the colours of phases are dark enough for white text on both.
 */
export const STYLE = `
:host {
  --_pending: var(--status-pending, #5f6773);
  --_processing: var(--status-processing, #1f63c7);
  --_completed: var(--status-completed, #1c7a3e);
  --_failed: var(--status-failed, #c02525);
  --_track: var(--status-track, color-mix(in srgb, currentColor 15%, transparent));
  --_radius: var(--status-radius, 0.375em);
  display: block;
}
:host(status-badge) { display: inline-block; }
:host([hidden]), [hidden] { display: none !important; }
p { margin: 0; }
[part~="state"]:empty, [part~="more"]:empty { display: none; }
[part~="list"] {
  list-style: none; margin: 0; padding: 0;
  display: grid; gap: var(--status-gap, 0.75em);
}
[part~="item"] {
  display: grid; grid-template-columns: minmax(0, 1fr) auto;
  gap: 0.35em 0.75em; align-items: center;
}
[part~="title"] { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
[part~="item"] > [part~="bar"], [part~="error"] { grid-column: 1 / -1; }
[part~="error"] {
  border-inline-start: 0.2em solid var(--_failed); padding-inline-start: 0.6em;
  overflow-wrap: anywhere;
}
[part~="badge"] {
  display: inline-block; padding: 0.1em 0.6em; border: 1px solid transparent; border-radius: var(--_radius);
  font-size: 0.85em; white-space: nowrap; color: var(--status-badge-text, #fff); background: var(--_pending);
}
[part~="badge"][data-kind=""] { color: inherit; background: none; }
[part~="badge"][data-kind="processing"], [part~="badge"][data-kind="live"] { background: var(--_processing); }
[part~="badge"][data-kind="completed"] { background: var(--_completed); }
[part~="badge"]:is([data-kind="failed"], [data-kind="refused"], [data-kind="offline"]) { background: var(--_failed); }
[part~="bar"] {
  position: relative; overflow: hidden; block-size: var(--status-height, 0.5em); border-radius: var(--_radius);
  background: var(--_track);
}
[part~="fill"] { block-size: 100%; border-radius: inherit; background: var(--_processing); }
[data-kind="completed"] > [part~="fill"] { background: var(--_completed); }
[data-kind="failed"] > [part~="fill"] { background: var(--_failed); }
[data-kind="moving"] > [part~="fill"] { position: absolute; inset-inline-start: 30%; inline-size: 40%; }
[part~="announcer"] {
  position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
@media (prefers-reduced-motion: no-preference) {
  [part~="fill"] { transition: inline-size 0.3s ease-out; }
  [data-kind="moving"] > [part~="fill"] { animation: moving 1.6s ease-in-out infinite; }
  @keyframes moving { from { inset-inline-start: -40%; } to { inset-inline-start: 100%; } }
}
@media (forced-colors: active) {
  [part~="badge"], [part~="bar"] { border: 1px solid CanvasText; }
  [part~="fill"] { background: Highlight; forced-color-adjust: none; }
}
`;
