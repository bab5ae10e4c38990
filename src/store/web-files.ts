import { cannotStore, noStorage, noWebSpace } from "./errors.ts";
import type { PartialFile, PartialHandle, SavedPartial } from "./partial.ts";

// The browser's own file system for this origin (OPFS; WHATWG File System standard), the folder `clavis` in it:
//   ID              the bytes of a file; ID is the digest that the hub names it by, or a hash of its address
//   ID.record.0/.1  what the file is (web-records.ts); without one that says so, it is not a model
//   ID.state.0/.1   how far its download has come
// Files cannot be renamed in every browser, so nothing here relies on that: a file has its name from the
// beginning, and its record makes it a model. Writing is done in a worker, where all browsers have it.

/** What a worker has of a file that it alone may write. The types of TypeScript's "dom" know only pages. */
interface SyncAccessHandle {
  read(target: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

type WritableFile = FileSystemFileHandle & { createSyncAccessHandle?(): Promise<SyncAccessHandle> };

const folderName = "clavis";

/** What a file is called in paths, from the root of the origin's file system. */
export const pathOf = (id: string) => `${folderName}/${id}`;

/** A tab that was closed may hold its files for a moment longer than its lock. */
const busyTries = 30;
const busyMs = 100;

/**
 * Our folder of the origin's file system.
 *
 * @param create  whether to make it where it is not there; without, nothing is returned then
 * @throws ClavisError `store.unavailable` where the browser has no such thing, or not for this page
 */
export function openFolder(create: true): Promise<FileSystemDirectoryHandle>;
export function openFolder(create: boolean): Promise<FileSystemDirectoryHandle | undefined>;
export async function openFolder(create: boolean): Promise<FileSystemDirectoryHandle | undefined> {
  if (globalThis.isSecureContext === false)
    throw noStorage("the page did not come over https or from localhost");
  const { storage } = globalThis.navigator ?? {};
  if (storage?.getDirectory === undefined) throw noStorage("this browser has none");
  let root: FileSystemDirectoryHandle;
  try {
    root = await storage.getDirectory();
  } catch (error) {
    // Some browsers have it, but not in private windows.
    throw noStorage(`the browser refuses it, perhaps in a private window: ${messageOf(error)}`, error);
  }
  try {
    return await root.getDirectoryHandle(folderName, { create });
  } catch (error) {
    if (!create && nameOf(error) === "NotFoundError") return undefined;
    throw noStorage(messageOf(error), error);
  }
}

/** The files of our folder. Those that write need a worker. */
export class WebFiles {
  readonly #folder: FileSystemDirectoryHandle;

  constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  /** The bytes of a file as they are now; nothing where it is not there. */
  async file(name: string): Promise<File | undefined> {
    try {
      return await (await this.#folder.getFileHandle(name)).getFile();
    } catch (error) {
      if (nameOf(error) === "NotFoundError") return undefined;
      throw error;
    }
  }

  async names(): Promise<string[]> {
    const names: string[] = [];
    const keys = (this.#folder as unknown as { keys(): AsyncIterableIterator<string> }).keys();
    for await (const name of keys) names.push(name);
    return names.sort();
  }

  async remove(name: string): Promise<void> {
    await this.#folder.removeEntry(name).catch((error) => {
      if (nameOf(error) !== "NotFoundError") throw cannotStore(name, error);
    });
  }

  /** Opens a file for writing, which nobody else can meanwhile. */
  async open(name: string): Promise<SyncAccessHandle> {
    const handle: WritableFile = await this.#folder.getFileHandle(name, { create: true });
    if (handle.createSyncAccessHandle === undefined)
      throw noStorage("this browser cannot write to its files");
    for (let tries = 1; ; tries++) {
      try {
        return await handle.createSyncAccessHandle();
      } catch (error) {
        const busy = /NoModificationAllowedError|InvalidStateError/.test(nameOf(error));
        if (!busy || tries === busyTries) throw cannotStore(name, error);
        await new Promise((resolve) => setTimeout(resolve, busyMs));
      }
    }
  }

  /**
   * A small value that a killed process cannot damage: of two files the older is overwritten, and what is read
   * is the newest that is whole.
   */
  async readValue(name: string): Promise<unknown> {
    return (await this.#slots(name)).value;
  }

  /** @param durably  returns once it would survive a power cut */
  async writeValue(name: string, value: object, durably = false): Promise<void> {
    const { number, slot } = await this.#slots(name);
    const handle = await this.open(`${name}.${1 - slot}`);
    try {
      const bytes = new TextEncoder().encode(JSON.stringify({ number: number + 1, value }));
      handle.truncate(0);
      writeAll(handle, bytes, 0);
      if (durably) handle.flush();
    } catch (error) {
      throw await writeError(name, error);
    } finally {
      handle.close();
    }
  }

  async removeValue(name: string): Promise<void> {
    for (const slot of [0, 1]) await this.remove(`${name}.${slot}`);
  }

  async #slots(name: string): Promise<{ number: number; slot: number; value: unknown }> {
    let newest = { number: 0, slot: 1, value: undefined as unknown };
    for (const slot of [0, 1]) {
      try {
        const text = await (await this.file(`${name}.${slot}`))?.text();
        const { number, value } = JSON.parse(text ?? "");
        if (number > newest.number) newest = { number, slot, value };
      } catch {
        // not there, or half written
      }
    }
    return newest;
  }
}

/** A download in our folder. */
export class WebPartial implements PartialFile {
  readonly shown: string;
  readonly #files: WebFiles;
  readonly #id: string;

  constructor(files: WebFiles, id: string) {
    this.shown = pathOf(id);
    this.#files = files;
    this.#id = id;
  }

  async open(size: number, keep: boolean): Promise<PartialHandle> {
    const handle = await this.#files.open(this.#id);
    try {
      if (!keep) handle.truncate(0);
      if (handle.getSize() !== size) handle.truncate(size);
    } catch (error) {
      handle.close();
      throw await writeError(this.shown, error, size);
    }
    return {
      write: async (pieces, _, at) => {
        try {
          let end = at;
          for (const piece of pieces) end = writeAll(handle, piece, end);
        } catch (error) {
          throw await writeError(this.shown, error);
        }
      },
      read: async (target, at) => handle.read(target, { at }),
      sync: async () => handle.flush(),
      close: async () => handle.close(),
    };
  }

  async saved(): Promise<SavedPartial | undefined> {
    const state = await this.#files.readValue(`${this.#id}.state`);
    const file = state === undefined ? undefined : await this.#files.file(this.#id);
    return file && { size: file.size, state };
  }

  save(state: object): Promise<void> {
    return this.#files.writeValue(`${this.#id}.state`, state);
  }

  async remove(): Promise<void> {
    await this.#files.remove(this.#id);
    await this.removeState();
  }

  async removeState(): Promise<void> {
    await this.#files.removeValue(`${this.#id}.state`);
  }

  /** Bytes of quota that it takes: the whole length, from the beginning. */
  async takenBytes(): Promise<number> {
    return (await this.#files.file(this.#id))?.size ?? 0;
  }
}

/** Writes the whole of an array, and returns the place after it. */
function writeAll(handle: SyncAccessHandle, bytes: Uint8Array, at: number): number {
  for (let done = 0; done < bytes.length; ) {
    const written = handle.write(done === 0 ? bytes : bytes.subarray(done), { at: at + done });
    if (written <= 0) throw new DOMException("nothing more could be written", "QuotaExceededError");
    done += written;
  }
  return at + bytes.length;
}

async function writeError(name: string, error: unknown, needed = 0): Promise<Error> {
  if (nameOf(error) !== "QuotaExceededError") return cannotStore(name, error);
  return noWebSpace(needed, await freeBytes());
}

/** What Chromium says is free, whatever is: so that pages cannot tell private windows and disks by it. */
const saidInAnyCase = 10 * 2 ** 30;

/** What the browser lets this origin store still; undefined where it does not say. */
export async function freeBytes(): Promise<number | undefined> {
  const { quota, usage } = (await navigator.storage.estimate?.().catch(() => undefined)) ?? {};
  if (quota === undefined) return undefined;
  const free = Math.max(0, quota - (usage ?? 0));
  return free === saidInAnyCase ? undefined : free;
}

const nameOf = (error: unknown) => String((error as { name?: unknown } | undefined)?.name);
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
