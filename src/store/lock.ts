import { randomBytes } from "node:crypto";
import { type FileHandle, open, readFile, rename, stat, unlink, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lock } from "./carry-out.ts";
import { cannotWrite } from "./errors.ts";
import { makeFolder } from "./folders.ts";

// Lock files, because Node has no flock. A lock names its process; whoever finds the lock of a process that is
// gone, or one that has not been touched for long, takes it over. What a lock guards is safe without it too:
// files are written under other names, checked, and renamed; two writers would only do the same work twice.

/** How often the holder says that it is alive, and after how long without that a lock is free. */
const beatMs = 2000;
const staleMs = 30_000;
const lookMs = 200;

interface Holder {
  readonly id: string;
  readonly pid: number;
  readonly host: string;
}

/**
 * Takes a lock, waiting while a living process holds it.
 *
 * @param waiting  called at each look at a lock that another holds
 * @throws ClavisError `pull.write` where the folder cannot be written; the signal's reason
 */
export async function takeLock(
  path: string,
  { signal, waiting }: { signal?: AbortSignal; waiting?: (pid: number | undefined) => void } = {},
): Promise<Lock> {
  const id = randomBytes(9).toString("base64url");
  try {
    await makeFolder(dirname(path));
    for (;;) {
      signal?.throwIfAborted();
      if (await create(path, { id, pid: process.pid, host: hostname() })) return heldLock(path, id);
      const holder = await readHolder(path);
      if (holder === "gone") continue;
      if (await isStale(path, holder)) await takeAway(path, holder?.id);
      else {
        waiting?.(holder?.pid);
        await sleep(lookMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
      }
    }
  } catch (error) {
    throw (error as NodeJS.ErrnoException).syscall === undefined ? error : cannotWrite(path, error);
  }
}

async function create(path: string, holder: Holder): Promise<boolean> {
  let handle: FileHandle;
  try {
    handle = await open(path, "wx");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
  try {
    await handle.writeFile(JSON.stringify(holder));
    return true;
  } catch (error) {
    // On a full disk an empty lock would hold others up until it is stale.
    await unlink(path).catch(() => {});
    throw error;
  } finally {
    await handle.close();
  }
}

/** Nothing where the file is not readable as a lock: perhaps it is just being written. */
async function readHolder(path: string): Promise<Holder | undefined | "gone"> {
  try {
    const { id, pid, host } = JSON.parse(await readFile(path, "utf8"));
    const whole = typeof id === "string" && Number.isInteger(pid) && pid > 0 && typeof host === "string";
    return whole ? { id, pid, host } : undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? "gone" : undefined;
  }
}

async function isStale(path: string, holder: Holder | undefined): Promise<boolean> {
  const touched = await stat(path).catch(() => undefined);
  if (touched === undefined) return false;
  if (Date.now() - touched.mtimeMs > staleMs) return true;
  return holder !== undefined && holder.host === hostname() && !isAlive(holder.pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Removes a stale lock, but not one that somebody took in the meantime. */
async function takeAway(path: string, id: string | undefined): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await rename(path, aside);
  } catch {
    return; // another was quicker
  }
  const moved = await readHolder(aside);
  const fresh = typeof moved === "object" && moved.id !== id;
  if (fresh && (await create(path, moved))) await utimes(path, new Date(), new Date()).catch(() => {});
  await unlink(aside).catch(() => {});
}

function heldLock(path: string, id: string): Lock {
  const isOurs = async () => {
    const holder = await readHolder(path);
    return typeof holder === "object" && holder.id === id;
  };
  const beat = setInterval(() => {
    const now = new Date();
    isOurs()
      .then((ours) => (ours ? utimes(path, now, now) : undefined))
      .catch(() => {});
  }, beatMs);
  beat.unref();
  return {
    held: isOurs,
    async release() {
      clearInterval(beat);
      if (await isOurs()) await unlink(path).catch(() => {});
    },
  };
}
