import { createHash, randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { mkdir, open, readFile, realpath, rename, stat, unlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { damaged } from "./errors.ts";

// What is remembered of files: that their digest was checked, and when they were last used. One small JSON file;
// where two processes write at once, the later one wins, and a lost entry costs a digest computed again.

interface Entry {
  /** Of the file when it was checked; another file, or a changed one, has others. */
  readonly inode?: number;
  readonly size?: number;
  readonly mtimeMs?: number;
  readonly sha256?: string;
  /** Milliseconds since 1970. */
  readonly usedAt?: number;
  /** The name that it was last called by. */
  readonly name?: string;
}

/** What tells a file from another, and from itself after a change, as `fs.stat` gives it. */
export type FileState = Pick<Stats, "ino" | "size" | "mtimeMs">;

const readBytes = 2 ** 20;

export class Records {
  readonly #file: string;

  constructor(ownFolder: string) {
    this.#file = join(ownFolder, "files.json");
  }

  /**
   * The digest of a file that was checked and has not changed since.
   *
   * @param now  of the open file that is going to be used; default: of what has the path now
   */
  async digestOf(path: string, now?: FileState): Promise<string | undefined> {
    const entry = (await this.#read())[await realPath(path)];
    const state = now ?? (await stat(path).catch(() => undefined));
    const same =
      state !== undefined &&
      entry?.sha256 !== undefined &&
      entry.inode === state.ino &&
      entry.size === state.size &&
      entry.mtimeMs === state.mtimeMs;
    return same ? entry.sha256 : undefined;
  }

  /** @param checked  of the file whose bytes had this digest; default: of what has the path now */
  async rememberDigest(path: string, sha256: string, checked?: FileState): Promise<void> {
    const { ino: inode, size, mtimeMs } = checked ?? (await stat(path));
    await this.#change(path, { inode, size, mtimeMs, sha256 });
  }

  async usedAt(path: string): Promise<number | undefined> {
    return (await this.#read())[await realPath(path)]?.usedAt;
  }

  async rememberUse(path: string, name: string): Promise<void> {
    await this.#change(path, { usedAt: Date.now(), name });
  }

  /** Forgets files that are gone, so that nothing is said of others that come to their places. */
  async forgetGone(): Promise<void> {
    await this.#write(await this.#kept());
  }

  async #change(file: string, change: Entry): Promise<void> {
    const path = await realPath(file);
    const entries = await this.#kept(path);
    entries[path] = { ...entries[path], ...change };
    await this.#write(entries);
  }

  /** What is remembered of files that are there, and of one that may not be. */
  async #kept(path?: string): Promise<Record<string, Entry>> {
    const entries = await this.#read();
    for (const known of Object.keys(entries)) {
      if (known !== path && (await stat(known).catch(() => undefined)) === undefined) delete entries[known];
    }
    return entries;
  }

  /** That something cannot be remembered (a read-only home) is no reason to fail. */
  async #write(entries: Readonly<Record<string, Entry>>): Promise<void> {
    const temporary = `${this.#file}.${randomBytes(6).toString("hex")}`;
    try {
      await mkdir(join(this.#file, ".."), { recursive: true });
      await writeFile(temporary, JSON.stringify(entries));
      await rename(temporary, this.#file);
    } catch {
      await unlink(temporary).catch(() => {});
    }
  }

  async #read(): Promise<Record<string, Entry>> {
    try {
      const entries = JSON.parse(await readFile(this.#file, "utf8"));
      const whole = typeof entries === "object" && entries !== null && !Array.isArray(entries);
      return Object.assign(Object.create(null), whole ? entries : {});
    } catch {
      return Object.create(null);
    }
  }
}

/** A file is remembered by one path, however it is reached. */
const realPath = (path: string) => realpath(path).catch(() => path);

export interface CheckOptions {
  /** Compute the digest even where it is remembered. */
  readonly again?: boolean;
  readonly signal?: AbortSignal;
  readonly progress?: (doneBytes: number, allBytes: number) => void;
}

/**
 * Compares a blob with its sha256, once; later calls believe what is remembered.
 *
 * @throws ClavisError `store.digest`; the signal's reason
 */
export async function checkDigest(
  records: Records,
  blob: string,
  expected: string,
  options: CheckOptions = {},
): Promise<void> {
  if (!options.again && (await records.digestOf(blob)) === expected) return;
  const found = await sha256Of(blob, options);
  if (found !== expected) throw damaged(blob, found, expected);
  await records.rememberDigest(blob, found);
}

/** What a blob's name says of its sha256; small files have the digest of git, which nothing here relies on. */
export function digestNamed(blob: string): string | undefined {
  return /^[0-9a-f]{64}$/.test(basename(blob)) ? basename(blob) : undefined;
}

/** The sha256 of a file, as hexadecimal digits. */
export async function sha256Of(path: string, { signal, progress }: CheckOptions = {}): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(readBytes);
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    for (let at = 0; ; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) return hash.digest("hex");
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
      progress?.(at, size);
    }
  } finally {
    await handle.close();
  }
}
