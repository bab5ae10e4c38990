import { createHash } from "node:crypto";
import { type ByteSource, checkRange } from "../bytes/source.ts";
import { fileChanged, fileChanging } from "./errors.ts";
import { nodeHash } from "./node-model-files.ts";
import type { Resource, Serialization } from "./statement.ts";

/** A read that starts or ends inside a piece hashes the whole of it: small enough for that. */
const pieceBytes = 2 ** 20;
const pieceDigestBytes = 32;

export interface HashingOptions {
  readonly signal?: AbortSignal;
  /** Told bytes done of all. */
  readonly progress?: (doneBytes: number, allBytes: number) => void;
}

/**
 * The same source after its bytes were found to be those that were signed. What is read from it later is
 * compared with what was hashed here, as {@link hashedSource} says.
 *
 * @param resources  the signed digests of this one file, in order
 * @throws ClavisError `protect.file_changed` here; `protect.file_changing` from later reads
 */
export async function verifiedSource(
  source: ByteSource,
  resources: readonly Resource[],
  serialization: Serialization,
  options?: HashingOptions,
): Promise<ByteSource> {
  const { digests, hashed } = await hashedSource(source, serialization, options);
  checkDigests(source.name, source.size, digests, resources, serialization.shardBytes);
  return hashed;
}

/**
 * The digests of a source, of the whole or of each shard, and the same source bound to the bytes that they are of.
 * What is read from it later is compared again, piece by piece, with what was hashed here: whoever changes the
 * file in between, even without a trace in its times, makes the read fail.
 *
 * Holds 32 bytes for each MiB of the file.
 *
 * @throws ClavisError `protect.file_changing` from later reads
 */
export async function hashedSource(
  source: ByteSource,
  { hashType, shardBytes = Number.POSITIVE_INFINITY }: Pick<Serialization, "hashType" | "shardBytes">,
  { signal, progress }: HashingOptions = {},
): Promise<{ digests: readonly string[]; hashed: ByteSource }> {
  const { size } = source;
  const pieceDigests = Buffer.alloc(Math.ceil(size / pieceBytes) * pieceDigestBytes);
  const piece = Buffer.allocUnsafe(Math.min(pieceBytes, size));
  const digests: string[] = [];
  let shard = createHash(nodeHash(hashType));
  let shardLeft = shardBytes;
  for (let start = 0; start < size; start += pieceBytes) {
    signal?.throwIfAborted();
    const bytes = piece.subarray(0, Math.min(pieceBytes, size - start));
    await source.readInto(start, bytes);
    progress?.(start + bytes.length, size);
    pieceDigest(bytes).copy(pieceDigests, (start / pieceBytes) * pieceDigestBytes);
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + Math.min(shardLeft, bytes.length - done));
      shard.update(part);
      done += part.length;
      shardLeft -= part.length;
      if (shardLeft > 0) continue;
      digests.push(shard.digest("hex"));
      shard = createHash(nodeHash(hashType));
      shardLeft = shardBytes;
    }
  }
  if (shardLeft === Number.POSITIVE_INFINITY || shardLeft < shardBytes) digests.push(shard.digest("hex"));
  return { digests, hashed: new HashedSource(source, pieceDigests) };
}

/** @throws ClavisError `protect.file_changed` unless digests and the places of shards are as signed */
export function checkDigests(
  name: string,
  size: number,
  digests: readonly string[],
  resources: readonly Resource[],
  shardBytes = Number.POSITIVE_INFINITY,
): void {
  for (let i = 0; i < Math.max(digests.length, resources.length); i++) {
    const [found, expected] = [digests[i], resources[i]?.digest];
    const range = resources[i]?.range;
    const inPlace =
      range === undefined ||
      (range.start === i * shardBytes && range.end === Math.min(size, range.start + shardBytes));
    if (found !== expected || !inPlace) {
      throw fileChanged(name, found ?? "none for what is missing", expected ?? "none for what was added");
    }
  }
}

class HashedSource implements ByteSource {
  readonly name: string;
  readonly path?: string;
  readonly size: number;
  readonly #source: ByteSource;
  readonly #digests: Buffer;
  /** The piece that was read last in part; a header is read from its beginning in small steps. */
  #held: { readonly index: number; readonly bytes: Uint8Array } | undefined;

  constructor(source: ByteSource, digests: Buffer) {
    this.name = source.name;
    this.path = source.path;
    this.size = source.size;
    this.#source = source;
    this.#digests = digests;
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    checkRange(this, offset, target.byteLength);
    const end = offset + target.byteLength;
    for (let at = offset; at < end; ) {
      const index = Math.floor(at / pieceBytes);
      const start = index * pieceBytes;
      const stop = Math.min(this.size, start + pieceBytes);
      const next = Math.min(end, stop);
      const part = target.subarray(at - offset, next - offset);
      if (at === start && next === stop) await this.#readPiece(index, part);
      else part.set((await this.#piece(index, stop - start)).subarray(at - start, next - start));
      at = next;
    }
  }

  async #piece(index: number, length: number): Promise<Uint8Array> {
    if (this.#held?.index === index) return this.#held.bytes;
    const bytes = new Uint8Array(length);
    await this.#readPiece(index, bytes);
    this.#held = { index, bytes };
    return bytes;
  }

  /** Compares the bytes where they are going to be used, so that no copy of them can differ. */
  async #readPiece(index: number, target: Uint8Array): Promise<void> {
    await this.#source.readInto(index * pieceBytes, target);
    const expected = this.#digests.subarray(index * pieceDigestBytes, (index + 1) * pieceDigestBytes);
    if (!pieceDigest(target).equals(expected)) throw fileChanging(this.name);
  }

  async close(): Promise<void> {
    this.#held = undefined;
    await this.#source.close();
  }
}

function pieceDigest(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
