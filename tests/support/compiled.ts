import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { root } from "./shared.ts";

const script = join(root, "tests/support/hash-logits.mjs");

/** A copy of the compiled package with another addon in it; the caller removes the folder. */
export function packageWith(addon: string): string {
  const folder = mkdtempSync(join(tmpdir(), "clavis-package-"));
  cpSync(join(root, "dist"), join(folder, "dist"), { recursive: true });
  cpSync(addon, join(folder, "dist/native/clavis.node"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  symlinkSync(join(root, "package.json"), join(folder, "package.json"));
  return folder;
}

/**
 * A hash of each model's logits, and the level of instructions that computed them.
 *
 * @param folder   the compiled package's
 * @param command  what runs JavaScript: a program and its arguments
 */
export function hashLogits(
  folder: string,
  models: readonly string[],
  command: readonly string[] = [process.execPath],
  env: NodeJS.ProcessEnv = {},
): { hashes: string[]; level: string } {
  const [program, ...args] = command;
  const run: SpawnSyncReturns<string> = spawnSync(
    program,
    [...args, script, join(folder, "dist"), ...models],
    {
      env: { ...process.env, ...env },
      encoding: "utf8",
    },
  );
  expect(run.status, run.stderr).toBe(0);
  const lines = run.stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" "));
  return { hashes: lines.map(([, hash]) => hash), level: lines[0][0] };
}
