import { createHash } from "node:crypto";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { partNames } from "../bytes/parts.ts";
import { badAnswer } from "./errors.ts";
import { checkFileName } from "./names.ts";
import { discard, type Network, refusal } from "./network.ts";
import type { Settings } from "./settings.ts";

// Files from addresses outside the hub: urls/HOST-HASH/FILE, and beside each FILE.source.json.

/** A file at an address, and its place in our folder. */
export interface UrlFile {
  readonly url: URL;
  readonly file: string;
  readonly path: string;
}

/** What a server says of a file at an address. */
export interface UrlDescription {
  readonly size: number;
  /** Tells one version of the file from another; undefined where the server says nothing that does. */
  readonly version?: string;
  /** A strong ETag, for If-Range. */
  readonly validator?: string;
}

export interface SourceRecord {
  readonly url: string;
  readonly version?: string;
  readonly sha256: string;
}

/** All files of the model at an address, in order: the parts of a split one, or the one file. */
export function urlFiles({ ownFolder }: Settings, url: URL): UrlFile[] {
  const given = fileNameOf(url);
  checkFileName(given);
  const names = partNames(given);
  const urls = names.map((name) => {
    const part = new URL(url);
    if (name !== given) part.pathname = part.pathname.replace(/[^/]*$/, encodeURIComponent(name));
    return part;
  });
  // The first part's address, so that all parts share a folder whichever was named.
  const hash = createHash("sha256").update(urls[0].href).digest("hex").slice(0, 16);
  const folder = join(ownFolder, "urls", `${url.hostname.replace(/[^A-Za-z0-9.-]/g, "_")}-${hash}`);
  return names.map((file, i) => ({ url: urls[i], file, path: join(folder, file) }));
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
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(`${path}.source.json.new`, JSON.stringify(record));
  await rename(`${path}.source.json.new`, `${path}.source.json`);
}

/**
 * Asks for the first byte, because many servers do not answer HEAD, or say less in it.
 *
 * @throws ClavisError `net.*`
 */
export async function describeUrl(
  network: Network,
  settings: Settings,
  url: URL,
  signal?: AbortSignal,
): Promise<UrlDescription> {
  const answer = await network.request(url, { headers: { range: "bytes=0-0" }, signal });
  discard(answer);
  const { status } = answer;
  if (status !== 200 && status !== 206) throw refusal(answer, url.href, settings);
  const told =
    status === 206
      ? /^bytes 0-0\/(\d+)$/.exec(answer.header("content-range") ?? "")?.[1]
      : answer.header("content-length");
  const size = Number(told ?? Number.NaN);
  if (!Number.isSafeInteger(size)) throw badAnswer(url.host, "no size of the file");
  const etag = answer.header("etag");
  const version = etag ?? answer.header("last-modified");
  return { size, version, validator: etag?.startsWith('"') ? etag : undefined };
}

function fileNameOf(url: URL): string {
  const last = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(last) || "model.gguf";
  } catch {
    return last;
  }
}
