import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "statushub";
import { syncQueryClient } from "statushub/query";
import { StatushubProvider } from "statushub/react";
import { App } from "./App.jsx";

// One connection for the hooks and for the cache.
const hub = connect({ channels: ["drafts"] });
const queryClient = new QueryClient();
syncQueryClient(queryClient, { hub, channel: "drafts", queryKey: ["drafts"] });

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <StatushubProvider hub={hub}>
        <App />
      </StatushubProvider>
    </QueryClientProvider>
  </StrictMode>,
);
