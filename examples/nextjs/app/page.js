import { Live } from "./live";

// The state is of the moment of the request.
export const dynamic = "force-dynamic";

const HUB = process.env.STATUSHUB_URL ?? "http://localhost:8000";

/** Rendered on the server with the state that it reads; the page shows it until its stream has brought the same. */
export default async function Page() {
  const answer = await fetch(`${HUB}/api/contents/drafts`, { cache: "no-store" });
  const { contents } = await answer.json();
  return (
    <main>
      <h1>Drafts</h1>
      <Live initial={{ drafts: contents }} />
    </main>
  );
}
