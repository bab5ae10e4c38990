// Compiles kernels/wasm with AssemblyScript: four builds, with and without relaxed SIMD and shared memory.
//
//   node scripts/build-wasm.mjs [--force]
//
// Output: dist/kernels/clavis-{relaxed,simd}-{shared,single}.wasm. Compiles only what is older than its sources.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import asc from "assemblyscript/asc";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const sourceFolder = join(root, "kernels/wasm");
const outFolder = join(root, "dist/kernels");

/** Address of the control block in kernels/wasm/control.ts: static data must end below. */
const controlBlock = 65536;

/**
 * Brings the four builds up to date.
 *
 * @param {{ force?: boolean, only?: string }} options  force: compile in any case; only: one build, by its name
 * @returns {Promise<string[]>} the files written
 */
export async function buildWasm({ force = false, only } = {}) {
  const newest = Math.max(...sources().map(changed), changed(fileURLToPath(import.meta.url)));
  mkdirSync(outFolder, { recursive: true });
  const written = [];
  for (const simd of ["relaxed", "simd"]) {
    for (const memory of ["shared", "single"]) {
      const name = `clavis-${simd}-${memory}`;
      const out = join(outFolder, `${name}.wasm`);
      if (only !== undefined && only !== name) continue;
      if (!force && existsSync(out) && changed(out) > newest) continue;
      await compile(out, simd === "relaxed", memory === "shared");
      await check(out, memory === "shared");
      written.push(out);
    }
  }
  return written;
}

const changed = (path) => statSync(path).mtimeMs;

function sources() {
  const files = readdirSync(sourceFolder, { recursive: true, withFileTypes: true });
  return files.filter((file) => file.name.endsWith(".ts")).map((file) => join(file.parentPath, file.name));
}

async function compile(out, relaxed, shared) {
  const features = ["simd", ...(relaxed ? ["relaxed-simd"] : []), ...(shared ? ["threads"] : [])];
  const { error, stderr } = await asc.main(
    [
      relative(root, join(sourceFolder, "index.ts")),
      ...["--baseDir", root, "--outFile", relative(root, out)],
      ...["-O3", "--noAssert", "--runtime", "stub", "--enable", features.join(",")],
      ...["--use", `RELAXED=${relaxed ? 1 : 0},SHARED=${shared ? 1 : 0}`],
      ...["--importMemory", "--initialMemory", "1", "--maximumMemory", "65536"],
      ...(shared ? ["--sharedMemory"] : []),
    ],
    {},
  );
  if (error) throw new Error(`${relative(root, out)}: ${error.message}\n${stderr}`);
}

/** Refuses a module whose static data reaches into the control block. */
async function check(out, shared) {
  if (shared && process.versions.node.startsWith("20.")) {
    // Node 20 knows relaxed SIMD only behind a flag.
    const v8 = await import("node:v8");
    v8.setFlagsFromString("--experimental-wasm-relaxed-simd");
  }
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared });
  const { instance } = await WebAssembly.instantiate(readFileSync(out), { env: { memory, abort() {} } });
  const end = instance.exports.staticEnd();
  if (end > controlBlock) {
    throw new Error(`${relative(root, out)}: static data ends at ${end}, past the control block at ${controlBlock}`);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const file of await buildWasm({ force: process.argv.includes("--force") })) {
    process.stdout.write(`${relative(root, file)}  ${statSync(file).size} bytes\n`);
  }
}
