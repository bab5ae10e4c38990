import { constants } from "node:fs";
import { open } from "node:fs/promises";

/**
 * A whole small file.
 *
 * @returns undefined where it has more than `mostBytes`, or grows beyond them meanwhile
 * @throws what the system says; Error for what is no regular file
 */
export async function readSmallFile(path: string, mostBytes: number): Promise<Uint8Array | undefined> {
  // Opening a named pipe would wait for its writer. Windows has no such flag.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new Error("it is no regular file");
    if (found.size > mostBytes) return undefined;
    const bytes = new Uint8Array(found.size + 1);
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await file.read(bytes, done, bytes.length - done);
      if (bytesRead === 0) return bytes.subarray(0, done);
      done += bytesRead;
    }
    return undefined;
  } finally {
    await file.close();
  }
}
