import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const kernels = "kernels/native";
const flags = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-ffp-contract=off", "-fstack-protector-strong"];

/**
 * Builds a C++ program of this folder with kernels, what changed of it, and runs it with this process's arguments. $CXX
 * names another compiler than g++.
 *
 * @param {string} source  its name in bench/
 * @param {RegExp} parts   names of the files of kernels/native that it needs
 */
export function buildAndRun(source, parts) {
  const objects = join(root, ".cache/bench-native");
  mkdirSync(objects, { recursive: true });
  const compiler = process.env.CXX ?? "g++";
  const changed = (name) => statSync(join(root, name)).mtimeMs;
  const names = readdirSync(join(root, kernels)).map((name) => join(kernels, name));
  const newestHeader = Math.max(...names.filter((name) => name.endsWith(".h")).map(changed));
  const sources = [
    join("bench", source),
    ...names.filter((name) => name.endsWith(".cc") && parts.test(basename(name))),
  ];
  const built = sources.map((name) => {
    const object = join(objects, `${name.replaceAll("/", "_")}.o`);
    if (!existsSync(object) || statSync(object).mtimeMs < Math.max(newestHeader, changed(name)))
      run(compiler, [...flags, "-c", name, "-o", object]);
    return object;
  });
  const program = join(objects, basename(source, ".cc"));
  run(compiler, [...built, "-o", program]);
  run(program, process.argv.slice(2));
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) process.exit(1);
}
