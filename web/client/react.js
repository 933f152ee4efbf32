"use client";
/**
 * React: components that read a hub.
 *
 *     <StatushubProvider url="https://hub.example">
 *       <Drafts />
 *     </StatushubProvider>
 *
 *     function Drafts() {
 *       return useChannel("drafts").map(({ id, data }) => <p key={id}>{data.progress}</p>);
 *     }
 */
export { useBatch, useChannel, useContent, useHub } from "./react/hooks.js";
export {
  useContentEvents,
  useContentStatus,
  useContentStatusWithFallback,
  useContentWebSocket,
} from "./react/familiar.js";
export { StatushubProvider } from "./react/provider.js";
