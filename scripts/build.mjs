// Builds dist/: TypeScript to JavaScript, bundles of that for Node and for browsers, AssemblyScript to WebAssembly, and the
// native kernels where a C++ compiler is (which `npm install` has done already, unless their sources changed).
// Does nothing where dist/ is newer than every source, so that `npm start` and `npm test` can call it each time.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildBrowser } from "./build-browser.mjs";
import { buildNative } from "./build-native.mjs";
import { buildNode } from "./build-node.mjs";
import { buildWasm } from "./build-wasm.mjs";
import { changed, newest } from "./files.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const stamp = join(root, "dist/.built");

function buildTypeScript() {
  const sources = ["src", "tsconfig.json", "package.json"].map((name) => join(root, name));
  if (changed(stamp) >= newest(...sources)) return;
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", root], { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
  removeOrphans();
  writeFileSync(stamp, "");
}

/**
 * Removes compiled files whose sources are gone. Nothing else is touched, so that a program which runs
 * from dist/ meanwhile goes on.
 */
function removeOrphans() {
  const compiled = readdirSync(join(root, "dist"), { recursive: true, encoding: "utf8" });
  for (const name of compiled) {
    if (/^(kernels|native|browser|node)\b/.test(name) || !/\.(d\.ts|js)$/.test(name)) continue;
    const source = join(root, "src", name.replace(/\.(d\.ts|js)$/, ".ts"));
    if (!existsSync(source)) rmSync(join(root, "dist", name));
  }
}

buildTypeScript();
await buildNode();
await buildWasm();
await buildBrowser();
const { built, message } = await buildNative();
if (built) console.error(message);
