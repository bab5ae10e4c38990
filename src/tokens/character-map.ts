import * as errors from "./errors.ts";

/** NFKC makes at most 18 characters of one (U+FDFA), 33 bytes. */
const longestReplacement = 128;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * SentencePiece's precompiled normalization: replacements of byte sequences, the longest first.
 *
 * The blob is a 32-bit length, a double-array trie of 32-bit units of that many bytes, and the
 * replacements, each ending in a zero byte. All numbers are little-endian.
 * Source: SentencePiece, "Custom normalization"; Darts-clone's double-array units.
 */
export class CharacterMap {
  private readonly units: Uint32Array;
  private readonly replacements: Uint8Array;
  /** [256] whether some key starts with a byte. */
  private readonly starts = new Uint8Array(256);

  /** @throws ClavisError `tokens.charsmap` */
  constructor(blob: Uint8Array) {
    const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
    const trieBytes = blob.length < 4 ? -1 : view.getUint32(0, true);
    if (trieBytes < 4 || trieBytes % 4 !== 0 || 4 + trieBytes > blob.length) {
      throw errors.charactersMap(`${trieBytes} bytes of trie in ${blob.length}`);
    }
    this.units = new Uint32Array(trieBytes / 4);
    for (let i = 0; i < this.units.length; i++) this.units[i] = view.getUint32(4 + i * 4, true);
    this.replacements = blob.subarray(4 + trieBytes);
    for (let byte = 1; byte < 256; byte++)
      this.starts[byte] = this.step(offset(this.units[0]), byte) >= 0 ? 1 : 0;
  }

  apply(text: string): string {
    const bytes = encoder.encode(text);
    const out = new ByteList(bytes.length);
    for (let at = 0; at < bytes.length; ) {
      const end = at + characterLength(bytes[at]);
      const found = this.starts[bytes[at]] === 1 ? this.longest(bytes, at) : undefined;
      if (found === undefined) out.append(bytes, at, end);
      else out.append(this.replacements, found.from, found.to);
      at = found?.end ?? end;
    }
    return decoder.decode(out.bytes());
  }

  /** The longest key that starts at a byte: where it ends, and where its replacement is. */
  private longest(bytes: Uint8Array, at: number): { end: number; from: number; to: number } | undefined {
    const { units, replacements } = this;
    let end = -1;
    let value = 0;
    let node = offset(units[0]);
    // Keys are a few characters; the bound keeps a hostile trie from long walks at every byte.
    for (let i = at; i < bytes.length && i < at + longestReplacement; i++) {
      node = this.step(node, bytes[i]);
      if (node < 0) break;
      const unit = units[node];
      node ^= offset(unit);
      // A key must end where a character does, or what is left would not be UTF-8.
      if ((unit & 0x100) !== 0 && node < units.length && !isContinuation(bytes[i + 1])) {
        end = i + 1;
        value = units[node] & 0x7fffffff;
      }
    }
    if (end < 0) return undefined;
    const to = replacements.indexOf(0, value);
    if (value >= replacements.length || to < 0 || to - value > longestReplacement) {
      throw errors.charactersMap(`a replacement at byte ${value} that does not end`);
    }
    return { end, from: value, to };
  }

  /** The unit that a byte leads to from a node's offset, or -1. */
  private step(node: number, byte: number): number {
    const next = node ^ byte;
    // The label of a unit: its low byte, and its high bit, which marks values.
    return next < this.units.length && (this.units[next] & 0x800000ff) === byte ? next : -1;
  }
}

const offset = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

const characterLength = (first: number): number =>
  first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

class ByteList {
  private list: Uint8Array;
  private length = 0;

  constructor(expected: number) {
    this.list = new Uint8Array(Math.max(64, expected * 2));
  }

  append(from: Uint8Array, start: number, end: number): void {
    if (this.length + end - start > this.list.length) {
      const list = new Uint8Array((this.length + end - start) * 2);
      list.set(this.list);
      this.list = list;
    }
    for (let i = start; i < end; i++) this.list[this.length++] = from[i];
  }

  bytes(): Uint8Array {
    return this.list.subarray(0, this.length);
  }
}
