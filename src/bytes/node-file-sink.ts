import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ClavisError } from "../errors.ts";
import { diskFull, fileUnwritable, folderForbidden, folderMissing } from "./errors.ts";
import type { ByteSink } from "./gguf-writer.ts";

/**
 * Writes a file whole or not at all: `write` fills a temporary file in the same folder, which then takes the
 * name `path`, in place of a file that has it already. On failure the temporary file is removed.
 *
 * @throws ClavisError `sink.folder`, `sink.permission`, `sink.full`, `sink.write`, and what `write` throws
 */
export async function writeFileWhole(path: string, write: (sink: ByteSink) => Promise<void>): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.partial`);
  let handle: FileHandle | undefined;
  let made = false;
  try {
    handle = await open(temporary, "wx");
    made = true;
    await write(fileSink(handle, path));
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(temporary, path);
  } catch (error) {
    // The first failure is the one to tell; cleaning up is best effort.
    await handle?.close().catch(() => undefined);
    if (made) await unlink(temporary).catch(() => undefined);
    throw readable(path, error);
  }
}

function fileSink(handle: FileHandle, path: string): ByteSink {
  return {
    async write(bytes) {
      try {
        for (let done = 0; done < bytes.length; ) {
          const { bytesWritten } = await handle.write(bytes, done, bytes.length - done);
          done += bytesWritten;
        }
      } catch (error) {
        throw readable(path, error);
      }
    },
  };
}

function readable(path: string, error: unknown): unknown {
  if (error instanceof ClavisError) return error;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return error; // not the file system's: a fault of the caller's own
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return folderMissing(path, error);
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return folderForbidden(path, error);
    case "ENOSPC":
    case "EDQUOT":
    case "EFBIG":
      return diskFull(path, error);
    default:
      return fileUnwritable(path, error);
  }
}
