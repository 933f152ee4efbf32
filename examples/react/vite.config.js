import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The page and the hub have one origin, as behind a proxy in production: no CORS, and the cookie of a sign-in is sent.
const hub = { target: process.env.STATUSHUB_URL ?? "http://localhost:8000", ws: true };

export default defineConfig({
  plugins: [react()],
  server: { proxy: { "/api": hub } },
  preview: { proxy: { "/api": hub } },
});
