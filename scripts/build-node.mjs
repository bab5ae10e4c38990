// Bundles the library and the command for Node: dist/node/index.js and main.js, and the parts that they share or load
// only when they are needed. Two hundred small modules take Node 90 ms to find and load, their bundle 35.
// Does nothing where that is newer than its sources.
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { changed, newest, replace } from "./files.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "dist/node");
const command = join(folder, "main.js");

/** Brings dist/node up to date. */
export async function buildNode() {
  mkdirSync(folder, { recursive: true });
  if (changed(command) > newest(join(root, "src"), fileURLToPath(import.meta.url))) return;
  const build = await rolldown({
    input: { index: join(root, "src/index.ts"), main: join(root, "src/cli/main.ts") },
    platform: "node",
    tsconfig: join(root, "tsconfig.json"),
    // What the package depends on is installed beside it.
    external: (id) => !/^[./]/.test(id),
    onLog(level, log) {
      if (level === "warn") throw new Error(log.message);
    },
  });
  const { output } = await build.generate({
    ...{ format: "esm", sourcemap: false, minify: false },
    ...{ entryFileNames: "[name].js", chunkFileNames: "[name].js" },
  });
  await build.close();
  // The command last: it is what tells whether all is there.
  const files = output.toSorted(
    (a, b) => Number(a.fileName === "main.js") - Number(b.fileName === "main.js"),
  );
  for (const { fileName, code } of files) {
    replace(join(folder, fileName), (unfinished) => writeFileSync(unfinished, code));
  }
  chmodSync(command, 0o755);
  const names = new Set(output.map(({ fileName }) => fileName));
  for (const name of readdirSync(folder)) if (!names.has(name)) rmSync(join(folder, name));
}
