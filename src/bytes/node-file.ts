import { type FileHandle, open, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import {
  fileForbidden,
  fileIsDirectory,
  fileMissing,
  fileNotRegular,
  fileShrank,
  fileUnreadable,
  partMissing,
  sourceClosed,
} from "./errors.ts";
import { partNames } from "./parts.ts";
import { type ByteSource, checkRange } from "./source.ts";

/**
 * A file on disk, for Node.
 *
 * @throws ClavisError `source.missing`, `source.directory`, `source.not_a_file`, `source.permission`,
 *         `source.read`
 */
export async function openFile(path: string): Promise<ByteSource> {
  try {
    // Looked at before opening, because opening a named pipe waits for a writer.
    const before = await stat(path);
    if (before.isDirectory()) throw fileIsDirectory(path);
    if (!before.isFile()) throw fileNotRegular(path);
    const handle = await open(path, "r");
    const { size } = await handle.stat();
    return fileSource(handle, resolve(path), size);
  } catch (error) {
    throw readable(path, error);
  }
}

/**
 * All files of the model at `path`: `NAME-00002-of-00005.gguf` gives all five parts in order, from the
 * name of any of them; every other name gives the one file.
 *
 * @throws ClavisError as openFile, and `gguf.part_missing` naming the part that is not there
 */
export async function openModelFiles(path: string): Promise<ByteSource[]> {
  const names = partNames(basename(path));
  if (names.length === 1) return [await openFile(path)];
  const sources: ByteSource[] = [];
  try {
    for (const [i, name] of names.entries()) {
      const partPath = join(dirname(path), name);
      try {
        sources.push(await openFile(partPath));
      } catch (error) {
        // A wrong path altogether is better told by the plain message.
        const missing = (error as { code?: string }).code === "source.missing" && name !== basename(path);
        throw missing ? partMissing(partPath, i + 1, names.length, error) : error;
      }
    }
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
  return sources;
}

/** Node takes lengths below 2^31 in one call. */
const longestRead = 2 ** 30;

function fileSource(handle: FileHandle, path: string, size: number): ByteSource {
  const name = basename(path);
  let open = true;
  return {
    name,
    path,
    descriptor: handle.fd,
    size,
    async readInto(offset, target) {
      if (!open) throw sourceClosed(name);
      checkRange(this, offset, target.byteLength);
      for (let done = 0; done < target.byteLength; ) {
        const length = Math.min(longestRead, target.byteLength - done);
        let bytesRead: number;
        try {
          ({ bytesRead } = await handle.read(target, done, length, offset + done));
        } catch (error) {
          throw fileUnreadable(name, error);
        }
        if (bytesRead === 0) throw fileShrank(name, size, offset + done);
        done += bytesRead;
      }
    },
    async close() {
      if (!open) return;
      open = false;
      await handle.close();
    },
  };
}

function readable(path: string, error: unknown): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case "ENOENT":
    case "ENOTDIR":
      return fileMissing(path, error);
    case "EACCES":
    case "EPERM":
      return fileForbidden(path, error);
    default:
      return (error as NodeJS.ErrnoException).syscall === undefined ? error : fileUnreadable(path, error);
  }
}
