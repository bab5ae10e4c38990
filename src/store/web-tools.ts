import type { PullTools } from "./carry-out.ts";
import { endpointOf } from "./client.ts";
import { damaged, noWebSpace } from "./errors.ts";
import type { PullEvent } from "./options.ts";
import { defaultPatience, type Patience } from "./retry.ts";
import { WebClient } from "./web-client.ts";
import { freeBytes, openFolder, pathOf, WebFiles, type WebPartial } from "./web-files.ts";
import { newWebHash, Sha256 } from "./web-hash.ts";
import { type StoredFile, type WebRecord, WebRecords } from "./web-records.ts";

/** The options of a call as they travel to the worker: plain data. */
export interface PlainOptions {
  readonly endpoint?: string;
  readonly token?: string;
  readonly verify?: boolean;
  readonly patience?: Patience;
  readonly connections?: number;
  readonly partBytes?: number;
}

/** What every action of a page's store works with, in the worker. */
export interface WebTools extends PullTools {
  readonly files: WebFiles;
  readonly records: WebRecords;
  readonly verify: boolean;
  readonly sha256: WebAssembly.Module;
}

const readBytes = 8 * 2 ** 20;

export async function webTools(
  options: PlainOptions,
  sha256: WebAssembly.Module,
  signal: AbortSignal,
  tell: (event: PullEvent) => void,
): Promise<WebTools> {
  const files = new WebFiles(await openFolder(true));
  const settings = {
    endpoint: endpointOf(options.endpoint ?? "https://huggingface.co"),
    token: options.token,
  };
  return {
    settings,
    network: new WebClient(settings, options.patience?.stallMs),
    // In every browser but old ones a worker may start others.
    newHash: newWebHash(sha256, typeof Worker === "undefined" ? undefined : location.href),
    patience: options.patience ?? defaultPatience,
    connections: options.connections ?? 4,
    partBytes: options.partBytes ?? 32 * 2 ** 20,
    signal,
    tell,
    async checkSpace(missing) {
      let needed = 0;
      for (const { remote, partial } of missing)
        needed += remote.size - Math.min(remote.size, await (partial as WebPartial).takenBytes());
      const free = await freeBytes();
      if (free !== undefined && needed > free) throw noWebSpace(needed, free);
    },
    files,
    records: new WebRecords(files),
    verify: options.verify ?? false,
    sha256,
  };
}

/** A file of our folder whose record is that of a whole one; nothing where the browser removed it. */
export async function wholeFile(files: WebFiles, id: string, record: WebRecord): Promise<File | undefined> {
  const file = await files.file(id);
  return file?.size === record.size ? file : undefined;
}

/**
 * Compares a stored file with the digest it had when it was checked, if it was changed since or `verify` asks.
 *
 * @throws ClavisError `store.digest`; the signal's reason
 */
export async function checkStored(
  { records, sha256, verify, signal, tell }: WebTools,
  { id, path }: StoredFile,
  record: WebRecord,
  file: File,
): Promise<void> {
  if (!verify && file.lastModified === record.lastModified) return;
  const hash = new Sha256(sha256);
  for (let at = 0; at < file.size; at += readBytes) {
    signal?.throwIfAborted();
    hash.update(new Uint8Array(await file.slice(at, at + readBytes).arrayBuffer()));
    const doneBytes = Math.min(file.size, at + readBytes);
    tell({ type: "checking", file: path, doneBytes, allBytes: file.size });
  }
  const found = hash.digest();
  if (found !== record.sha256) throw damaged(pathOf(id), found, record.sha256!);
  await records.put(id, { ...record, lastModified: file.lastModified });
}
