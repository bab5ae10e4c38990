/**
 * How fast are the native matrix kernels, beside what this machine could do? Builds bench/kernels-native.cc with the
 * kernels, and runs it.
 *
 *   node bench/kernels-native.mjs [--level=avx512vnni,avx2] [--format=Q4_0,Q6_K] [--rows=1,64]
 *
 * Per level and format: packing and one row of activations in GB/s of weights, products of several rows in GOPS (a
 * multiplication and an addition are two); then, where there are such, by the fast kernels, named in the first column. One thread, processor time, best of several runs.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const compiler = process.env.CXX ?? "g++";
const flags = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-ffp-contract=off", "-fstack-protector-strong"];
const objects = join(root, ".cache/bench-kernels-native");
mkdirSync(objects, { recursive: true });

function run(command, args, options) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (error) throw error;
  if (status !== 0) process.exit(1);
}

const kernels = "kernels/native";
const sources = [
  "bench/kernels-native.cc",
  ...readdirSync(join(root, kernels))
    .filter((name) => name === "cpu.cc" || /^(matmul|pack).*\.cc$/.test(name))
    .map((name) => join(kernels, name)),
];
const headers = readdirSync(join(root, kernels)).filter((name) => name.endsWith(".h"));
const newestHeader = Math.max(...headers.map((name) => statSync(join(root, kernels, name)).mtimeMs));
const built = sources.map((source) => {
  const object = join(objects, `${source.replaceAll("/", "_")}.o`);
  const newest = Math.max(newestHeader, statSync(join(root, source)).mtimeMs);
  if (!existsSync(object) || statSync(object).mtimeMs < newest)
    run(compiler, [...flags, "-c", source, "-o", object]);
  return object;
});
const program = join(objects, "bench");
run(compiler, [...built, "-o", program]);
run(program, process.argv.slice(2));
