import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileChanging, fileLinked, fileSpecial, modelUnreadable } from "./errors.ts";
import type { HashType } from "./statement.ts";

/** A file of a model's folder. */
export interface ModelFile {
  /** Path from the model's root, with "/" between its parts. */
  readonly name: string;
  readonly path: string;
}

/**
 * All files below a folder, sorted as the reference tool sorts them: part by part, by code point.
 *
 * @param ignored  whether a path is left out, and with it all below it
 * @throws ClavisError `protect.link` naming a symbolic link (where none are allowed, and for a folder
 *   in any case), `protect.not_a_file`, `protect.read`
 */
export async function listFiles(
  root: string,
  ignored: (name: string) => boolean,
  allowSymlinks = false,
): Promise<ModelFile[]> {
  const files: ModelFile[] = [];
  for (const folders = [""]; folders.length > 0; ) {
    const folder = folders.pop()!;
    for (const entry of await entriesOf(join(root, folder))) {
      const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
      const path = join(root, name);
      if (ignored(name)) continue;
      if (entry.isDirectory()) folders.push(name);
      else if (entry.isFile()) files.push({ name, path });
      else if (!entry.isSymbolicLink()) throw fileSpecial(name);
      else if (allowSymlinks && (await isFile(path))) files.push({ name, path });
      else throw fileLinked(name);
    }
  }
  return files.sort((a, b) => comparePaths(a.name, b.name));
}

/** @throws ClavisError `protect.read` where nothing is there */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw modelUnreadable(path, error);
  }
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw modelUnreadable(folder, error);
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    throw modelUnreadable(path, error);
  }
}

/** Part by part and by code point, as Python compares pure paths; JavaScript compares UTF-16 units. */
export function comparePaths(a: string, b: string): number {
  const [left, right] = [a.split("/"), b.split("/")];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = Buffer.compare(Buffer.from(left[i]), Buffer.from(right[i]));
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

const pieceBytes = 2 ** 20;

/**
 * Digests of one open file: of the whole, or of each `shardBytes` of it.
 *
 * @returns in hex, in order; a file of 0 bytes has one digest as a whole and none in shards
 * @throws ClavisError `protect.file_changing` where the file grows or shrinks meanwhile, `protect.read`
 */
export async function hashFile(
  { name, path }: ModelFile,
  type: HashType,
  { shardBytes, allowSymlinks = false }: { shardBytes?: number; allowSymlinks?: boolean } = {},
): Promise<{ readonly bytes: number; readonly digests: readonly string[] }> {
  const file = await openRegular({ name, path }, allowSymlinks);
  try {
    const { size } = await file.stat();
    const digests: string[] = [];
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, size + 1));
    for (let start = 0; start < size || (start === 0 && shardBytes === undefined); ) {
      const end = Math.min(size, start + (shardBytes ?? size));
      const hash = createHash(nodeHash(type));
      for (let at = start; at < end; ) {
        const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, end - at), at);
        if (bytesRead === 0) throw fileChanging(name);
        hash.update(piece.subarray(0, bytesRead));
        at += bytesRead;
      }
      digests.push(hash.digest("hex"));
      if (end === size) break;
      start = end;
    }
    if ((await file.stat()).size !== size) throw fileChanging(name);
    return { bytes: size, digests };
  } catch (error) {
    throw isSystemError(error) ? modelUnreadable(path, error) : error;
  } finally {
    await file.close();
  }
}

/** Opens without following a link, and without waiting for the writer of a pipe. */
async function openRegular({ name, path }: ModelFile, allowSymlinks: boolean): Promise<FileHandle> {
  // Windows has neither flag, and links there need a right of their own.
  const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  let file: FileHandle;
  try {
    file = await open(path, O_RDONLY | O_NONBLOCK | (allowSymlinks ? 0 : O_NOFOLLOW));
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "ELOOP" ? fileLinked(name) : modelUnreadable(path, error);
  }
  if (!(await file.stat()).isFile()) {
    await file.close();
    throw fileSpecial(name);
  }
  return file;
}

/** What Node calls the hash. */
export function nodeHash(type: HashType): string {
  return type === "blake2b" ? "blake2b512" : type;
}

export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string";
}
