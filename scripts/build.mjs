// Builds dist/: TypeScript to JavaScript, AssemblyScript to WebAssembly, and a bundle of both for browsers.
// Does nothing where dist/ is newer than every source, so that `npm start` and `npm test` can call it each time.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildBrowser } from "./build-browser.mjs";
import { buildWasm } from "./build-wasm.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const stamp = join(root, "dist/.built");

/** The newest change below a folder (or of a file), in milliseconds since 1970. */
function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function buildTypeScript() {
  const sources = Math.max(
    ...["src", "tsconfig.json", "package.json"].map((name) => newest(join(root, name))),
  );
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= sources) return;
  // Files whose sources are gone must go too; the kernels have a builder of their own.
  mkdirSync(join(root, "dist"), { recursive: true });
  for (const name of readdirSync(join(root, "dist"))) {
    if (name !== "kernels") rmSync(join(root, "dist", name), { recursive: true });
  }
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", root], { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
  const main = join(root, "dist/cli/main.js");
  if (existsSync(main)) chmodSync(main, 0o755);
  writeFileSync(stamp, "");
}

buildTypeScript();
await buildWasm();
await buildBrowser();
