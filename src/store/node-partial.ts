import { type FileHandle, open, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { cannotWrite } from "./errors.ts";
import { makeFolder } from "./folders.ts";
import type { PartialFile, PartialHandle, SavedPartial } from "./partial.ts";

const syncEveryBytes = 64 * 2 ** 20;

/** A partial file on disk, and PATH.json beside it, which says how far each part came. */
export class NodePartial implements PartialFile {
  readonly shown: string;

  constructor(path: string) {
    this.shown = path;
  }

  open(size: number, keep: boolean): Promise<PartialHandle> {
    return this.#disk(async () => {
      await makeFolder(dirname(this.shown));
      const handle = await open(this.shown, keep ? "r+" : "w+");
      try {
        await handle.truncate(size);
      } catch (error) {
        await handle.close();
        throw error;
      }
      return this.#opened(handle);
    });
  }

  async saved(): Promise<SavedPartial | undefined> {
    try {
      const state = JSON.parse(await readFile(this.#stateFile, "utf8"));
      const handle = await open(this.shown, "r");
      const { size } = await handle.stat().finally(() => handle.close());
      return { size, state };
    } catch {
      return undefined;
    }
  }

  async save(state: object): Promise<void> {
    const unfinished = `${this.#stateFile}.new`;
    try {
      await writeFile(unfinished, JSON.stringify(state));
      await rename(unfinished, this.#stateFile);
    } catch (error) {
      await unlink(unfinished).catch(() => {});
      throw error;
    }
  }

  /** Gives the whole file its name; its state is of no use any more. */
  async moveTo(path: string): Promise<void> {
    await rename(this.shown, path).catch((error) => {
      throw cannotWrite(path, error);
    });
    await unlink(this.#stateFile).catch(() => {});
  }

  async remove(): Promise<void> {
    for (const path of [this.shown, this.#stateFile, `${this.#stateFile}.new`])
      await unlink(path).catch(() => {});
  }

  get #stateFile(): string {
    return `${this.shown}.json`;
  }

  #opened(handle: FileHandle): PartialHandle {
    const disk = <T>(act: () => Promise<T>) => this.#disk(act);
    let unsynced = 0;
    let syncing: Promise<void> | undefined;
    /** Sends what was written to the disk while more arrives, so that the last wait for it is short. */
    const syncNow = () => {
      if (syncing || unsynced < syncEveryBytes) return;
      unsynced = 0;
      syncing = handle
        .datasync()
        .catch(() => {}) // the sync at the end tells
        .finally(() => {
          syncing = undefined;
        });
    };
    return {
      async write(pieces, length, at) {
        let rest = pieces;
        for (let done = 0; done < length; ) {
          const { bytesWritten } = await disk(() => handle.writev(rest, at + done));
          done += bytesWritten;
          if (done < length) rest = [Buffer.concat(pieces).subarray(done)];
        }
        unsynced += length;
        syncNow();
      },
      read: async (target, at) => (await disk(() => handle.read(target, 0, target.length, at))).bytesRead,
      sync: () => disk(() => handle.sync()),
      async close() {
        await syncing;
        await handle.close();
      },
    };
  }

  async #disk<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw cannotWrite(this.shown, error);
    }
  }
}
