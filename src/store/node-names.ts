import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageFile } from "../node-package.ts";
import { builtInMissing, notFound } from "./errors.ts";
import { type BuiltInName, type ModelName, type PathName, parseName, suggestions } from "./names.ts";

/** Reads a name on a machine with a disk: what is there under that name is a path. */
export function parseLocalName(text: string): ModelName {
  return parseName(text, existsSync);
}

/**
 * The path of a model that is a file already: a built-in one, or a path as given.
 *
 * @throws ClavisError `model.not_found`
 */
export function localPath(name: BuiltInName | PathName): string {
  const path =
    name.kind === "builtIn" ? fileURLToPath(packageFile(`models/${name.file}`)) : pathOnDisk(name.path);
  if (existsSync(path)) return path;
  throw name.kind === "builtIn" ? builtInMissing(path) : notFound(path, suggestions(name.shown));
}

function pathOnDisk(path: string): string {
  if (/^file:\/\//i.test(path)) return fileURLToPath(path);
  return /^~[/\\]/.test(path) && !existsSync(path) ? join(homedir(), path.slice(2)) : path;
}
