import type { Hash, NewHash } from "./partial.ts";

/** What kernels/wasm/sha256.ts exports. */
interface Sha256Exports {
  readonly memory: WebAssembly.Memory;
  dataAddress(): number;
  stateAddress(): number;
  begin(): void;
  update(blocks: number): void;
}

const blockBytes = 64;
/** Taken in by one call. */
const pieceBytes = 2 ** 20;

/** SHA-256 piece by piece, in WebAssembly. */
export class Sha256 implements Hash {
  readonly #wasm: Sha256Exports;
  readonly #data: Uint8Array;
  /** Bytes at the beginning of `#data` that do not fill a block yet. */
  #waiting = 0;
  #bytes = 0;

  constructor(module: WebAssembly.Module) {
    this.#wasm = new WebAssembly.Instance(module).exports as unknown as Sha256Exports;
    this.#data = new Uint8Array(this.#wasm.memory.buffer, this.#wasm.dataAddress(), pieceBytes);
    this.#wasm.begin();
  }

  update(piece: Uint8Array): void {
    this.#bytes += piece.length;
    for (let done = 0; done < piece.length; ) {
      const length = Math.min(piece.length - done, pieceBytes - this.#waiting);
      this.#data.set(piece.subarray(done, done + length), this.#waiting);
      done += length;
      const there = this.#waiting + length;
      const whole = there - (there % blockBytes);
      this.#wasm.update(whole / blockBytes);
      this.#data.copyWithin(0, whole, there);
      this.#waiting = there - whole;
    }
  }

  digest(): string {
    // A one bit, zeros, and the length in bits as 64 bits, up to a whole block (FIPS 180-4, section 5.1.1).
    const bits = this.#bytes * 8;
    const end = new Uint8Array((this.#waiting < 56 ? 64 : 128) - this.#waiting);
    end[0] = 0x80;
    const view = new DataView(end.buffer, end.length - 8);
    view.setUint32(0, Math.floor(bits / 2 ** 32));
    view.setUint32(4, bits >>> 0);
    this.update(end);
    const state = new DataView(this.#wasm.memory.buffer, this.#wasm.stateAddress(), 32);
    return Array.from({ length: 8 }, (_, i) => hex(state.getUint32(4 * i, true))).join("");
  }
}

/** The sha1 that git gives small files, which crypto.subtle computes as a whole. */
class WholeSha1 implements Hash {
  readonly #pieces: Uint8Array<ArrayBuffer>[] = [];

  update(piece: Uint8Array): void {
    this.#pieces.push(piece.slice());
  }

  async digest(): Promise<string> {
    const whole = await new Blob(this.#pieces).arrayBuffer();
    return hexOf(await crypto.subtle.digest("SHA-1", whole));
  }
}

export function newWebHash(sha256: WebAssembly.Module): NewHash {
  return (algorithm) => (algorithm === "sha256" ? new Sha256(sha256) : new WholeSha1());
}

/** The digest of a short text, for names of files. */
export async function sha256OfText(text: string): Promise<string> {
  return hexOf(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

const hexOf = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

const hex = (word: number) => word.toString(16).padStart(8, "0");
