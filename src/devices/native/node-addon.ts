import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { packageFile } from "../../node-package.ts";
import type { Addon } from "./addon.ts";

/**
 * Loads the compiled kernels.
 *
 * @throws Error where they were not built, or the system refuses to load them
 */
export function loadAddon(): Addon {
  const path = fileURLToPath(packageFile("dist/native/clavis.node"));
  if (!existsSync(path)) throw new Error("its kernels were not compiled; that needs g++ or clang++ (C++20)");
  return createRequire(import.meta.url)(path) as Addon;
}

/** The level of instructions that the environment asks to stay below. */
export const levelOfEnvironment = (): string | undefined => process.env.CLAVIS_CPU || undefined;

/** As many as threads.h has. */
export const mostThreads = 64;
