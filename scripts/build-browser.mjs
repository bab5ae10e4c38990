// Bundles src/browser.ts with all it imports into dist/browser/clavis.js, the worker of its store into
// clavis-store.js, and lays the kernels beside them: a folder that a page can be given as it is. Does nothing
// where that is newer than its sources.
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { changed, newest, replace } from "./files.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const kernels = join(root, "dist/kernels");
const folder = join(root, "dist/browser");
/** The page's part is a module; the worker's is a script, which every browser can start from a Blob. */
const bundles = [
  { source: "src/browser.ts", file: "clavis.js", format: "esm" },
  { source: "src/store/web-worker.ts", file: "clavis-store.js", format: "iife" },
];

/** Brings dist/browser up to date; the kernels have to be built already. */
export async function buildBrowser() {
  mkdirSync(folder, { recursive: true });
  const sources = newest(join(root, "src"), fileURLToPath(import.meta.url));
  for (const bundle of bundles)
    if (changed(join(folder, bundle.file)) <= sources) await bundleSources(bundle);
  for (const name of readdirSync(kernels)) {
    if (!/^clavis-.*\.wasm$/.test(name)) continue;
    const [from, to] = [join(kernels, name), join(folder, name)];
    if (changed(to) <= changed(from)) replace(to, (unfinished) => copyFileSync(from, unfinished));
  }
}

async function bundleSources({ source, file, format }) {
  const build = await rolldown({
    input: join(root, source),
    platform: "browser",
    tsconfig: join(root, "tsconfig.json"),
    // A module of Node, or one that is not there, must fail the build and not the page.
    external: (id) => {
      if (id.startsWith("node:")) throw new Error(`${source} leads to ${id}`);
      return false;
    },
    onLog(level, log) {
      if (level === "warn") throw new Error(log.message);
    },
  });
  const { output } = await build.generate({ format, sourcemap: false, minify: false });
  await build.close();
  if (output.length !== 1) throw new Error(`${output.length} files instead of one bundle`);
  replace(join(folder, file), (unfinished) => writeFileSync(unfinished, output[0].code));
}
