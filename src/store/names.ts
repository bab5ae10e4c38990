import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ClavisError, quoted } from "../errors.ts";

/** Names of models that come with the package, and their files in its models folder. */
const builtIn = new Map([["stories", "clavis-stories-q8_0.gguf"]]);

export const defaultModel = "stories";

/** Whether a name stands for a model without being a path. */
export function isModelName(name: string): boolean {
  return builtIn.has(name);
}

/**
 * The path of a model: of one that comes with the package by its name, else the path as given.
 *
 * @throws ClavisError `model.not_found` where nothing is there
 */
export function resolveModel(name: string): string {
  const file = builtIn.get(name);
  const path = file === undefined ? name : join(packageFolder(), "models", file);
  if (!existsSync(path)) {
    throw new ClavisError("model.not_found", {
      found: `nothing at ${quoted(path)}`,
      expected: `the path of a GGUF file, or one of ${[...builtIn.keys()].map(quoted).join(", ")}`,
      next:
        file === undefined
          ? "Check the path."
          : "Install the package again; its models folder is incomplete.",
    });
  }
  return path;
}

/** The folder of package.json: one above both src/ and dist/. */
function packageFolder(): string {
  return join(dirname(fileURLToPath(import.meta.url)), "../..");
}
