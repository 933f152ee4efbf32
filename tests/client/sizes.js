/** The size of what pages load, minified by esbuild and compressed as servers do: `node tests/client/sizes.js`. */
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const FOLDER = fileURLToPath(new URL("../../web/client/", import.meta.url));

/** What is loaded on demand: nothing of it is part of a first page, and these are what most pages do without. */
const ON_DEMAND = /./;
const TABS_AND_SOCKETS = /(tabs|socket)\.js$/;

/**
 * @param {RegExp} filter
 * @returns {import("esbuild").Plugin}  leaves these out, where they are loaded on demand
 */
function without(filter) {
  return {
    name: "without",
    setup: (builder) =>
      builder.onResolve({ filter }, ({ kind }) =>
        kind === "dynamic-import" ? { external: true, path: "./x.js" } : null,
      ),
  };
}

/**
 * @param {"first page" | "core" | "all"} what  the core is all but the sharing of tabs and WebSocket
 * @returns {Promise<{ gzip: number, brotli: number }>} bytes
 */
export async function sizeOf(what) {
  const { outputFiles } = await build({
    entryPoints: [`${FOLDER}index.js`],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    plugins: { "first page": [without(ON_DEMAND)], core: [without(TABS_AND_SOCKETS)], all: [] }[what],
    logLevel: "silent",
  });
  const code = outputFiles[0].contents;
  return { gzip: gzipSync(code, { level: 9 }).length, brotli: brotliCompressSync(code).length };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.table({
    "first page": await sizeOf("first page"),
    "core, but tabs and WebSocket": await sizeOf("core"),
    all: await sizeOf("all"),
  });
}
