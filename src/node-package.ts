import { existsSync } from "node:fs";

/**
 * A file of this package, by its path from the folder of package.json. The code may run from src/ (tests), from dist/ as it
 * was compiled, or from the bundle of it, which lie at different depths.
 */
export function packageFile(path: string): URL {
  for (let folder = new URL(".", import.meta.url); ; folder = new URL("..", folder)) {
    const isRoot = folder.pathname === new URL("..", folder).pathname;
    if (isRoot || existsSync(new URL("package.json", folder))) return new URL(path, folder);
  }
}
