import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { goldenModels, oneOfEach, syntheticFile } from "./golden.ts";
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

export interface HashedModel {
  readonly path: string;
  /** How many greedy tokens. */
  readonly tokens: number;
}

/** 64 tokens of one model of each architecture, and a few of each type of the golden models. */
export async function hashedModels(): Promise<HashedModel[]> {
  const models = (await oneOfEach()).map((path) => ({ path, tokens: 64 }));
  for (const model of goldenModels) models.push({ path: await syntheticFile(model), tokens: 4 });
  return models;
}

export interface HashOptions {
  /** What runs JavaScript: a program and its arguments. */
  readonly command?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly threads?: number;
}

/**
 * A hash of each model's greedy tokens' logits, the level of instructions that computed them, and all levels there are.
 *
 * @param folder  the compiled package's
 */
export async function hashLogits(
  folder: string,
  models: readonly HashedModel[],
  { command = [process.execPath], env = {}, threads = 2 }: HashOptions = {},
): Promise<{ hashes: string[]; level: string; levels: string[] }> {
  const [program, ...args] = command;
  const named = models.map(({ path, tokens }) => `${tokens}:${path}`);
  const child = spawn(program, [...args, script, join(folder, "dist"), String(threads), ...named], {
    env: { ...process.env, ...env },
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text) => {
      said[name] += text;
    });
  }
  const [status] = await once(child, "close");
  expect(status, said.stderr).toBe(0);
  return JSON.parse(said.stdout);
}
