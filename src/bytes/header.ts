import { headerTooLarge, invalidText, tooMany, truncated } from "./errors.ts";
import type { ByteSource } from "./source.ts";
import { decodeUtf8 } from "./utf8.ts";

/**
 * Headers stop here. The largest published ones (262,144 tokens, half a million merges) take about 20 MiB. A
 * header of two-letter strings takes 3.2 times its size in memory and 0.1 µs for each, so this limit also
 * keeps what a hostile one can take below its size plus 256 MiB, and below 2 s.
 */
export const longestHeaderBytes = 48 * 2 ** 20;

const firstWindowBytes = 2 ** 16;
const largestWindowBytes = 2 ** 22;

/**
 * Reads the header of a file from front to back through a window, so that the file is never in memory.
 * The window grows as the header goes on: small files cost one small read, large headers few large ones.
 *
 * `need` is awaited before reading; the reads themselves are then plain calls.
 */
export class HeaderReader {
  readonly source: ByteSource;
  #window = new Uint8Array(0);
  #view = new DataView(this.#window.buffer);
  /** Where the window starts in the source. */
  #start = 0;
  /** Where the next read starts in the window. */
  #at = 0;
  #windowBytes = firstWindowBytes;

  constructor(source: ByteSource) {
    this.source = source;
  }

  /** Where the next read starts in the source. */
  get position(): number {
    return this.#start + this.#at;
  }

  /** Bytes from here to the end of the source. */
  get remaining(): number {
    return this.source.size - this.position;
  }

  /** Whether the next `bytes` bytes are in the window, so that need would do nothing. */
  has(bytes: number): boolean {
    return this.#at + bytes <= this.#window.length;
  }

  /**
   * Makes the next `bytes` bytes readable. `what` names them for the message when the file ends before.
   *
   * @throws ClavisError `gguf.truncated`, `gguf.header_size`
   */
  async need(bytes: number, what: string): Promise<void> {
    if (this.has(bytes)) return;
    this.#check(bytes, what);
    const kept = this.#window.subarray(this.#at);
    const wanted = Math.max(bytes, this.#windowBytes);
    const next = new Uint8Array(Math.min(wanted, this.remaining));
    next.set(kept);
    await this.source.readInto(this.position + kept.length, next.subarray(kept.length));
    this.#start = this.position;
    this.#at = 0;
    this.#window = next;
    this.#view = new DataView(next.buffer);
    this.#windowBytes = Math.min(2 * this.#windowBytes, largestWindowBytes);
  }

  #check(bytes: number, what: string): void {
    const end = this.position + bytes;
    if (end > this.source.size) throw truncated(this.source.name, what, end, this.source.size);
    if (end > longestHeaderBytes) throw headerTooLarge(this.source.name, longestHeaderBytes);
  }

  /** Fills `target` with the next bytes, past the window where they go on; `what` as in need. */
  async copyInto(target: Uint8Array, what: string): Promise<void> {
    this.#check(target.length, what);
    const inWindow = this.#window.subarray(this.#at, this.#at + target.length);
    target.set(inWindow);
    if (inWindow.length < target.length) {
      await this.source.readInto(this.position + inWindow.length, target.subarray(inWindow.length));
    }
    this.skip(target.length);
  }

  /** Goes on by so many bytes, which must be in the file. */
  skip(bytes: number): void {
    if (this.has(bytes)) {
      this.#at += bytes;
      return;
    }
    this.#start = this.position + bytes;
    this.#at = 0;
    this.#window = new Uint8Array(0);
    this.#view = new DataView(this.#window.buffer);
  }

  u8(): number {
    return this.#window[this.#at++];
  }

  u32(): number {
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  /** Exact as a number up to 2^53, else a bigint. */
  u64(): number | bigint {
    const low = this.u32();
    const value = this.u32() * 2 ** 32 + low;
    return Number.isSafeInteger(value) ? value : this.#view.getBigUint64(this.#at - 8, true);
  }

  /** The DataView over the window and the offset in it, for the rarer kinds of number. */
  take<T>(bytes: number, get: (view: DataView, at: number) => T): T {
    const value = get(this.#view, this.#at);
    this.#at += bytes;
    return value;
  }

  /**
   * A u64 that says how many things follow, checked before anything is made for them.
   *
   * @param what        the things, for the message
   * @param leastBytes  what each takes in the file at least
   * @param most        more than any real file has
   * @throws ClavisError `gguf.count`
   */
  count(what: string, leastBytes: number, most = Number.MAX_SAFE_INTEGER): number {
    // Eight bytes as two halves: fast for the lengths of 300,000 strings, and exact below 2^53.
    const low = this.u32();
    const count = this.u32() * 2 ** 32 + low;
    const room = Math.min(this.source.size, longestHeaderBytes) - this.position;
    const fitting = Math.min(most, Math.floor(room / leastBytes));
    if (count <= fitting) return count;
    this.#at -= 8;
    throw tooMany(this.source.name, what, this.u64(), fitting);
  }

  /** The next `bytes` bytes as text. They are in the window. */
  text(bytes: number, what: string): string {
    const text = decodeUtf8(this.#window, this.#at, bytes);
    if (text === undefined) throw invalidText(this.source.name, what, this.position);
    this.#at += bytes;
    return text;
  }

  /** A length and so many bytes of UTF-8. */
  async string(what: string, most?: number): Promise<string> {
    await this.need(8, `the length of ${what}`);
    const bytes = this.count(`bytes for ${what}`, 1, most);
    await this.need(bytes, what);
    return this.text(bytes, what);
  }

  /** `count` strings one after another. */
  async strings(count: number, what: string): Promise<string[]> {
    const texts = new Array<string>(count);
    const each = `a string of ${what}`;
    const lengthOfEach = `the length of ${each}`;
    const bytesOfEach = `bytes for ${each}`;
    for (let i = 0; i < count; i++) {
      if (!this.has(8)) await this.need(8, lengthOfEach);
      const bytes = this.count(bytesOfEach, 1);
      if (!this.has(bytes)) await this.need(bytes, each);
      texts[i] = this.text(bytes, each);
    }
    return texts;
  }
}
