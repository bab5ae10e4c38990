import { sourceClosed, sourceRange } from "./errors.ts";

/** Bytes of known length that can be read at any place: a file, a Blob, an array, later a URL. */
export interface ByteSource {
  /** For messages: a file's name, or what the bytes are. */
  readonly name: string;
  /** Where a file on disk lies, in full; undefined for all else. */
  readonly path?: string;
  /** An open file that native code may read these bytes from, at the same offsets, until close; undefined for all else. */
  readonly descriptor?: number;
  /** In bytes. */
  readonly size: number;
  /**
   * Fills the whole of `target` with the bytes from `offset` on.
   *
   * @param target  may be a view of a SharedArrayBuffer
   * @throws ClavisError `source.range` outside the source, `source.shrank` where it became shorter,
   *         `source.closed` after close, `source.read` where the system fails
   */
  readInto(offset: number, target: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** The `length` bytes from `offset` on, in an array of their own. */
export async function read(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  // Checked before the allocation, so that a damaged length cannot take the memory first.
  checkRange(source, offset, length);
  const bytes = new Uint8Array(length);
  await source.readInto(offset, bytes);
  return bytes;
}

/** @throws ClavisError `source.range` unless offset and length are whole and inside the source */
export function checkRange(source: ByteSource, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (!whole || offset < 0 || length < 0 || offset + length > source.size) {
    throw sourceRange(source.name, source.size, offset, length);
  }
}

/**
 * Fills `target` with the bytes from `offset` on, of blocks that are asked for one after another.
 *
 * @param blockOf  the bytes of block `index`, which begins at index · blockBytes
 */
export async function fillFromBlocks(
  offset: number,
  target: Uint8Array,
  blockBytes: number,
  blockOf: (index: number) => Promise<Uint8Array>,
): Promise<void> {
  for (let done = 0; done < target.byteLength; ) {
    const index = Math.floor((offset + done) / blockBytes);
    const block = await blockOf(index);
    const from = offset + done - index * blockBytes;
    const length = Math.min(block.length - from, target.byteLength - done);
    target.set(block.subarray(from, from + length), done);
    done += length;
  }
}

/** A source over bytes that are in memory already; they are not copied. */
export function bufferSource(bytes: Uint8Array | ArrayBuffer, name = "buffer"): ByteSource {
  let view = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  let open = true;
  return {
    name,
    size: view.byteLength,
    async readInto(offset, target) {
      if (!open) throw sourceClosed(name);
      checkRange(this, offset, target.byteLength);
      target.set(view.subarray(offset, offset + target.byteLength));
    },
    async close() {
      open = false;
      view = new Uint8Array(0);
    },
  };
}

/** A source over a Blob or File, as a browser's file picker gives it. */
export function blobSource(blob: Blob, name?: string): ByteSource {
  const shownName = name ?? ("name" in blob && typeof blob.name === "string" ? blob.name : "blob");
  let open = true;
  return {
    name: shownName,
    size: blob.size,
    async readInto(offset, target) {
      if (!open) throw sourceClosed(shownName);
      checkRange(this, offset, target.byteLength);
      // A Blob hands out whole buffers; by pieces, so that a large tensor is never in memory twice.
      for (let done = 0; done < target.byteLength; ) {
        const length = Math.min(pieceBytes, target.byteLength - done);
        const piece = blob.slice(offset + done, offset + done + length);
        const bytes = new Uint8Array(await piece.arrayBuffer());
        target.set(bytes, done);
        done += length;
      }
    },
    async close() {
      open = false;
    },
  };
}

const pieceBytes = 16 * 2 ** 20;
