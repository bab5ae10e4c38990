// Compiles kernels/wasm with AssemblyScript: four builds, with and without relaxed SIMD and shared memory, and the
// digest that browsers check downloads with.
//
//   node scripts/build-wasm.mjs [--force] [--only NAME]
//
// Output: dist/kernels/clavis-{relaxed,simd}-{shared,single}.wasm and clavis-sha256.wasm. Compiles only what is older
// than its sources.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import asc from "assemblyscript/asc";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const sourceFolder = join(root, "kernels/wasm");
const outFolder = join(root, "dist/kernels");

/** Address of the control block in kernels/wasm/control.ts: static data must end below. */
const controlBlock = 65536;

const digest = "clavis-sha256";
const names = [
  ...["relaxed-shared", "relaxed-single", "simd-shared", "simd-single"].map((name) => `clavis-${name}`),
  digest,
];

/**
 * Brings all builds up to date, each in a process of its own, as many at a time as there are processors.
 *
 * @param {{ force?: boolean }} options  force: compile in any case
 * @returns {Promise<string[]>} the files written
 */
export async function buildWasm({ force = false } = {}) {
  const script = fileURLToPath(import.meta.url);
  const newest = Math.max(...sources().map(changed), changed(script));
  const stale = names.filter((name) => force || !existsSync(fileOf(name)) || changed(fileOf(name)) <= newest);
  const left = [...stale];
  const next = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      await promisify(execFile)(process.execPath, [script, "--only", name]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, next));
  return stale.map(fileOf);
}

const fileOf = (name) => join(outFolder, `${name}.wasm`);
const changed = (path) => statSync(path).mtimeMs;

function sources() {
  const files = readdirSync(sourceFolder, { recursive: true, withFileTypes: true });
  return files.filter((file) => file.name.endsWith(".ts")).map((file) => join(file.parentPath, file.name));
}

/** Compiles one of the builds into place. */
async function compile(name) {
  const relaxed = name.includes("relaxed");
  const shared = name.includes("shared");
  const features = ["simd", ...(relaxed ? ["relaxed-simd"] : []), ...(shared ? ["threads"] : [])];
  mkdirSync(outFolder, { recursive: true });
  // Under another name until it is whole, so that a build that is broken off leaves nothing that looks done.
  const unfinished = `${fileOf(name)}.${process.pid}.tmp`;
  const own =
    name === digest
      ? ["--initialMemory", "18"] // its constants, and a piece of 1 MiB
      : [
          ...["--use", `RELAXED=${relaxed ? 1 : 0},SHARED=${shared ? 1 : 0}`],
          ...["--importMemory", "--initialMemory", "1", "--maximumMemory", "65536", "--disableWarning"],
          ...(shared ? ["--sharedMemory"] : []),
        ];
  const source = name === digest ? "sha256.ts" : "index.ts";
  const { error, stderr } = await asc.main(
    [
      relative(root, join(sourceFolder, source)),
      ...["--baseDir", root, "--outFile", relative(root, unfinished)],
      ...["-O3", "--noAssert", "--runtime", "stub", "--enable", features.join(",")],
      ...own,
    ],
    {},
  );
  if (error) throw new Error(`${name}: ${error.message}\n${stderr}`);
  if (name !== digest) await check(unfinished, shared);
  renameSync(unfinished, fileOf(name));
}

/** Refuses a module whose static data reaches into the control block. */
async function check(out, shared) {
  if (process.versions.node.startsWith("20.")) {
    // Node 20 knows relaxed SIMD only behind a flag.
    const v8 = await import("node:v8");
    v8.setFlagsFromString("--experimental-wasm-relaxed-simd");
  }
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared });
  const { instance } = await WebAssembly.instantiate(readFileSync(out), { env: { memory, abort() {} } });
  const end = instance.exports.staticEnd();
  if (end > controlBlock) {
    throw new Error(
      `${relative(root, out)}: static data ends at ${end}, past the control block at ${controlBlock}`,
    );
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const only = process.argv.indexOf("--only");
  if (only > 0) await compile(process.argv[only + 1]);
  else {
    for (const file of await buildWasm({ force: process.argv.includes("--force") })) {
      process.stdout.write(`${relative(root, file)}  ${statSync(file).size} bytes\n`);
    }
  }
}
