import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it, as far as they are missing.
 *
 * @throws what the system says of the first that cannot be made
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    // Node says this of a file system that is read only, too; making the first missing one tells.
    let missing = path;
    while (
      (await stat(dirname(missing)).catch(() => undefined)) === undefined &&
      dirname(missing) !== missing
    )
      missing = dirname(missing);
    await mkdir(missing);
    throw error;
  }
}
