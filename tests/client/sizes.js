/** The size of what pages load, minified by esbuild and compressed as servers do: `node tests/client/sizes.js`. */
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const FOLDER = fileURLToPath(new URL("../../web/client/", import.meta.url));

/** What is loaded on demand is not part of a first page. */
const onDemand = {
  name: "on-demand",
  /** @param {import("esbuild").PluginBuild} builder */
  setup: (builder) =>
    builder.onResolve({ filter: /./ }, ({ kind }) =>
      kind === "dynamic-import" ? { external: true, path: "./x.js" } : null,
    ),
};

/**
 * @param {string} entry
 * @param {{ all?: boolean, external?: string[] }} [options]  `all`: with what is loaded on demand
 * @returns {Promise<{ gzip: number, brotli: number }>} bytes
 */
export async function sizeOf(entry, { all = false, external = [] } = {}) {
  const { outputFiles } = await build({
    entryPoints: [FOLDER + entry],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    external,
    plugins: all ? [] : [onDemand],
    logLevel: "silent",
  });
  const code = outputFiles[0].contents;
  return { gzip: gzipSync(code, { level: 9 }).length, brotli: brotliCompressSync(code).length };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.table({ "first page": await sizeOf("index.js"), "all of the core": await sizeOf("index.js", { all: true }) });
}
