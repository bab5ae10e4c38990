import { ClavisError } from "../errors.ts";
import { fileShrank, partMissing, sourceClosed, urlChanged, urlRefused, urlUnreachable } from "./errors.ts";
import { partNames } from "./parts.ts";
import { type ByteSource, blobSource, bufferSource, checkRange, fillFromBlocks } from "./source.ts";

/** What one request asks for. */
const blockBytes = 4 * 2 ** 20;
/** Blocks kept after use, and asked for ahead of a reader that goes straight on. */
const keptBlocks = 8;
const aheadBlocks = 2;

/**
 * A file on a web server, read by HTTP range requests (RFC 9110, section 14). Where the server does not serve
 * ranges, the whole file is downloaded before this returns; the browser keeps it on disk or in memory.
 *
 * @throws ClavisError `source.missing`, `source.http` for other refusals, `source.network` without an answer.
 *         Reads throw these too, and `source.changed` where the server has another file by then.
 */
export async function openUrl(url: URL): Promise<ByteSource> {
  const name = fileName(url);
  const ending = new AbortController();
  const first = await request(url, 0, blockBytes, ending.signal);
  if (first.status === 416) return bufferSource(new Uint8Array(0), name); // nothing at byte 0: an empty file
  if (first.status === 200) return wholeFile(url, name, first);
  if (first.status !== 206) throw urlRefused(url.href, first.status);
  const size = totalSize(first);
  // Without the size (another site may hide the header) ranges are of no use.
  if (size === undefined) {
    await first.body?.cancel();
    const whole = await request(url, undefined, undefined, ending.signal);
    if (whole.status !== 200) throw urlRefused(url.href, whole.status);
    return wholeFile(url, name, whole);
  }
  return rangeSource(url, name, size, first, ending);
}

/**
 * All files of the model at an address: `…-00002-of-00005.gguf` gives all five parts in order, every other
 * name the one file.
 *
 * @throws ClavisError as openUrl, and `gguf.part_missing` naming the part that is not there
 */
export async function openModelUrls(url: URL): Promise<ByteSource[]> {
  const names = partNames(fileName(url));
  if (names.length === 1) return [await openUrl(url)];
  const sources: ByteSource[] = [];
  try {
    for (const [i, name] of names.entries()) {
      const part = new URL(url);
      part.pathname = part.pathname.replace(/[^/]*$/, encodeURIComponent(name));
      try {
        sources.push(await openUrl(part));
      } catch (error) {
        // A wrong address altogether is better told by the plain message.
        const missing = (error as { code?: string }).code === "source.missing" && part.href !== url.href;
        throw missing ? partMissing(part.href, i + 1, names.length, error) : error;
      }
    }
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
  return sources;
}

function rangeSource(
  url: URL,
  name: string,
  size: number,
  first: Response,
  ending: AbortController,
): ByteSource {
  const validator = validatorOf(first);
  const blocks = new Map<number, Promise<Uint8Array>>();
  let latest = 0;
  blocks.set(0, guarded(0, bytesOf(first, Math.min(blockBytes, size))));

  async function bytesOf(response: Response, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let done = 0;
    const reader = response.body!.getReader();
    try {
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        if (done + piece.value.length > length) throw urlChanged(url.href);
        bytes.set(piece.value, done);
        done += piece.value.length;
      }
    } catch (error) {
      await reader.cancel().catch(() => {});
      throw failure(error);
    }
    if (done < length) throw urlUnreachable(url.href, `the answer ended after ${done} of ${length} bytes`);
    return bytes;
  }

  async function fetchBlock(index: number): Promise<Uint8Array> {
    const start = index * blockBytes;
    const length = Math.min(blockBytes, size - start);
    const response = await request(url, start, length, ending.signal).catch((error) => {
      throw failure(error);
    });
    if (response.status === 206) {
      const asked = `bytes ${start}-${start + length - 1}/${size}`;
      if (response.headers.get("content-range") === asked && validatorOf(response) === validator) {
        return bytesOf(response, length);
      }
    }
    await response.body?.cancel();
    if (response.status === 416) throw fileShrank(name, size, start);
    if (response.ok) throw urlChanged(url.href);
    throw urlRefused(url.href, response.status);
  }

  /** A failed block may be asked for again, and one that nobody waits for may fail in silence. */
  function guarded(index: number, block: Promise<Uint8Array>): Promise<Uint8Array> {
    block.catch(() => blocks.delete(index));
    return block;
  }

  function blockOf(index: number): Promise<Uint8Array> {
    const block = blocks.get(index) ?? guarded(index, fetchBlock(index));
    // Set again, so that the map's order is that of use and its first is the one to drop.
    blocks.delete(index);
    blocks.set(index, block);
    if (blocks.size > keptBlocks) blocks.delete(blocks.keys().next().value!);
    return block;
  }

  /** The block, and those after it begun where it follows the one before. */
  function blockAndNext(index: number): Promise<Uint8Array> {
    const wanted = blockOf(index);
    if (index === latest + 1) {
      for (let ahead = index + 1; ahead <= index + aheadBlocks && ahead * blockBytes < size; ahead++) {
        blockOf(ahead);
      }
    }
    latest = index;
    return wanted;
  }

  const failure = (error: unknown) => {
    if (ending.signal.aborted) return sourceClosed(name);
    return error instanceof ClavisError ? error : urlUnreachable(url.href, error);
  };

  return {
    name,
    size,
    async readInto(offset, target) {
      if (ending.signal.aborted) throw sourceClosed(name);
      checkRange(this, offset, target.byteLength);
      await fillFromBlocks(offset, target, blockBytes, blockAndNext);
    },
    async close() {
      ending.abort();
      blocks.clear();
    },
  };
}

async function wholeFile(url: URL, name: string, response: Response): Promise<ByteSource> {
  try {
    return blobSource(await response.blob(), name);
  } catch (error) {
    throw urlUnreachable(url.href, error);
  }
}

/** @param start  first byte to ask for; undefined asks for the whole */
async function request(
  url: URL,
  start: number | undefined,
  length: number | undefined,
  signal: AbortSignal,
): Promise<Response> {
  const headers = start === undefined ? undefined : { Range: `bytes=${start}-${start + length! - 1}` };
  try {
    return await fetch(url, { headers, signal });
  } catch (error) {
    throw urlUnreachable(url.href, error);
  }
}

/** The size of the whole file, from `Content-Range: bytes 0-99/SIZE`; undefined where it is not told. */
function totalSize(response: Response): number | undefined {
  const told = /^bytes 0-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  const size = Number(told?.[1] ?? Number.NaN);
  return Number.isSafeInteger(size) ? size : undefined;
}

/** What differs when the file does, as far as the server tells. */
const validatorOf = ({ headers }: Response) => headers.get("etag") ?? headers.get("last-modified");

/** The last part of an address's path, for messages. */
function fileName(url: URL): string {
  const last = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(last) || url.host;
  } catch {
    return last; // a lone % is allowed in a path
  }
}
