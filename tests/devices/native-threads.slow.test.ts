import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { addonFile } from "../support/native.ts";
import { root } from "../support/shared.ts";

// The team of threads and the tape under ThreadSanitizer. Compiling takes a while, so only where CLAVIS_SANITIZE=1
// asks for it (npm run test:sanitized).

/** What is watched; products and rows at higher levels of instructions are linked as they are, and not called. */
const watched = "cpu matmul matmul-portable memory pack rows rows-baseline tape threads".split(" ");
/** What knows Node. */
const left = ["addon", "load"];

const hasRuntime = spawnSync("g++", ["-print-file-name=libtsan.so"], { encoding: "utf8" }).stdout?.startsWith(
  "/",
);
const asked = process.env.CLAVIS_SANITIZE === "1" && addonFile !== undefined && process.platform === "linux";
if (asked && !hasRuntime) process.stdout.write("no ThreadSanitizer runtime; native-threads is skipped\n");

describe.runIf(asked && hasRuntime)("native threads with ThreadSanitizer", () => {
  const folder = join(root, ".cache/native-threads");
  const objects = join(root, ".cache/native", process.arch);
  const sources = readdirSync(join(root, "kernels/native"))
    .filter((name) => name.endsWith(".cc"))
    .map((name) => name.slice(0, -3));

  function compile(args: readonly string[]): void {
    const flags = ["-std=c++20", "-O1", "-g1", "-ffp-contract=off", "-Wall", "-Wextra", "-fsanitize=thread"];
    const { status, stderr } = spawnSync("g++", [...flags, "-pthread", ...args], {
      cwd: root,
      encoding: "utf8",
    });
    expect(status, stderr).toBe(0);
  }

  test("jobs from several threads, models opened and closed: no race, and the same bits", () => {
    mkdirSync(folder, { recursive: true });
    const harness = "tests/kernels/native-threads-harness.cc";
    const own = [...watched.map((name) => `kernels/native/${name}.cc`), harness].map((source) => {
      const object = join(folder, `${source.replaceAll("/", "_")}.o`);
      compile(["-c", source, "-o", object]);
      return object;
    });
    const others = sources.filter((name) => ![...watched, ...left].includes(name));
    const program = join(folder, "harness");
    compile([...own, ...others.map((name) => join(objects, `${name}.o`)), "-o", program]);
    const { status, stdout, stderr } = spawnSync(program, { encoding: "utf8", timeout: 300_000 });
    expect(stderr).toBe("");
    expect([status, stdout]).toEqual([0, "ok\n"]);
  }, 900_000);
});
