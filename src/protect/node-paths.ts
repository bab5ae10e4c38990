import { relative, resolve, sep } from "node:path";

/** What a signature leaves out unless it says otherwise, as the reference tool does. */
export const gitPaths: readonly string[] = [".git", ".gitattributes", ".github", ".gitignore"];

/** A path and all folders above it: "a/b/c" gives "a/b/c", "a/b" and "a". */
export function* withParents(path: string): Generator<string> {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) yield path.slice(0, end);
}

/** Whether a path, or a folder above it, is in the list. */
export function isIgnored(paths: readonly string[]): (path: string) => boolean {
  const ignored = new Set(paths);
  return (path) => {
    for (const one of withParents(path)) if (ignored.has(one)) return true;
    return false;
  };
}

/** The path of a file from a folder on, with "/" between its parts; undefined where it lies elsewhere. */
export function pathInside(folder: string, file: string): string | undefined {
  const path = relative(resolve(folder), resolve(file)).split(sep).join("/");
  return path === "" || path === ".." || path.startsWith("../") ? undefined : path;
}
