"use client";
import { StatushubProvider, useChannel, useHub } from "statushub/react";

/** Without a `url` the hub has the page's origin: next.config.mjs passes its routes on. */
export function Live({ initial }) {
  return (
    <StatushubProvider channels={["drafts"]} initial={initial}>
      <Drafts />
    </StatushubProvider>
  );
}

function Drafts() {
  const { state } = useHub();
  return (
    <>
      <p role="status">{state}</p>
      <ul>
        {useChannel("drafts").map(({ id, data, phase }) => (
          <li key={id} id={id}>
            {data.title ?? id}: {phase} {data.progress ?? ""}
          </li>
        ))}
      </ul>
    </>
  );
}
