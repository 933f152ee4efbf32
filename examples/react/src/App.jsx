import { useQuery } from "@tanstack/react-query";
import { useContent, useHub } from "statushub/react";

async function fetchDrafts() {
  const answer = await fetch("/api/contents/drafts");
  if (!answer.ok) throw new Error(`The hub answers ${answer.status}`);
  return answer.json();
}

export function App() {
  const { state, reason } = useHub();
  const { data } = useQuery({ queryKey: ["drafts"], queryFn: fetchDrafts });
  return (
    <main>
      <h1>Drafts</h1>
      <p role="status">{reason ? `${state}: ${reason}` : state}</p>
      <ul>
        {data?.contents.map((draft) => (
          <Draft key={draft.content_id} id={draft.content_id} />
        ))}
      </ul>
    </main>
  );
}

/** It renders again when this content has changed, and not when another has. */
function Draft({ id }) {
  const content = useContent(id);
  const { cancel } = useHub();
  if (!content) return null;
  const { title = id, progress = 0, error_message: error } = content.data;
  return (
    <li id={id}>
      {title}: {content.phase} <progress aria-label={title} max="100" value={content.ended ? 100 : progress} />
      {error && <em>{error}</em>}
      {!content.ended && <button onClick={() => cancel(id)}>Cancel</button>}
    </li>
  );
}
