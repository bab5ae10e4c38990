import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildNative } from "../../scripts/build-native.mjs";
import { type HashedModel, hashedModels, hashLogits, packageWith } from "../support/compiled.ts";
import { addonFile, levels } from "../support/native.ts";
import { root } from "../support/shared.ts";

// Whole models on kernels that stop at undefined behaviour and at addresses outside of what was allocated. Compiling
// them takes some minutes, so only where CLAVIS_SANITIZE=1 asks for it.

/** Where the compiler keeps a sanitizer's library: Node itself has none of them, so they are loaded before it. */
const libraryOf = (name: string) =>
  spawnSync("g++", [`-print-file-name=lib${name}.so`], { encoding: "utf8" }).stdout?.trim() ?? "";
const preloaded = ["asan", "ubsan"].map(libraryOf);
const canRun =
  process.env.CLAVIS_SANITIZE === "1" &&
  addonFile !== undefined &&
  process.platform === "linux" &&
  preloaded.every((path) => path.startsWith("/"));

describe.runIf(canRun)("native with sanitizers", () => {
  let folder = "";
  let models: HashedModel[];
  let want: string[];

  beforeAll(async () => {
    const { file, message } = await buildNative({ sanitize: true });
    expect(file, message).toBeDefined();
    folder = packageWith(file!);
    models = await hashedModels();
    want = (await hashLogits(root, models)).hashes;
  }, 900_000);

  afterAll(() => {
    if (folder !== "") rmSync(folder, { recursive: true });
  });

  test.each(levels)("%s: clean, and the same bits", async (level) => {
    // What V8 leaves allocated at the end is not ours.
    const env = { CLAVIS_CPU: level, LD_PRELOAD: preloaded.join(" "), ASAN_OPTIONS: "detect_leaks=0" };
    expect(await hashLogits(folder, models, { env })).toEqual({ hashes: want, level, levels });
  });
});
