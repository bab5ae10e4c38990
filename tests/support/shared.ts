import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe } from "vitest";

export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const shared = join(root, "../shared");

/** The path of a file in the shared folder beside the checkout. */
export const sharedPath = (path: string): string => join(shared, path);

/** A group of tests that need `../shared/PATH`; where it is missing they are skipped under a name that says so. */
export function describeShared(path: string, title: string, body: () => void): void {
  const found = existsSync(sharedPath(path));
  describe.skipIf(!found)(found ? title : `${title} (skipped: ../shared/${path} is not there)`, body);
}
