import { createHash } from "node:crypto";
import { readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type AddressFile, filesAt } from "./addresses.ts";
import { makeFolder } from "./folders.ts";
import type { Settings } from "./settings.ts";

// Files from addresses outside the hub: urls/HOST-HASH/FILE, and beside each FILE.source.json.

/** A file at an address, and its place in our folder. */
export interface UrlFile extends AddressFile {
  readonly path: string;
}

export interface SourceRecord {
  readonly url: string;
  readonly version?: string;
  readonly sha256: string;
}

/** All files of the model at an address, in order: the parts of a split one, or the one file. */
export function urlFiles({ ownFolder }: Settings, url: URL): UrlFile[] {
  const files = filesAt(url);
  // The first part's address, so that all parts share a folder whichever was named.
  const hash = createHash("sha256").update(files[0].url.href).digest("hex").slice(0, 16);
  const folder = join(ownFolder, "urls", `${url.hostname.replace(/[^A-Za-z0-9.-]/g, "_")}-${hash}`);
  return files.map((one) => ({ ...one, path: join(folder, one.file) }));
}

/** Whether a file from an address is there, whole: files get their name last. */
export async function isThere({ path }: UrlFile): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}

export async function readSource(path: string): Promise<SourceRecord | undefined> {
  try {
    const { url, version, sha256 } = JSON.parse(await readFile(`${path}.source.json`, "utf8"));
    return typeof url === "string" ? { url, version, sha256 } : undefined;
  } catch {
    return undefined;
  }
}

export async function writeSource(path: string, record: SourceRecord): Promise<void> {
  await makeFolder(join(path, ".."));
  await writeFile(`${path}.source.json.new`, JSON.stringify(record));
  await rename(`${path}.source.json.new`, `${path}.source.json`);
}
