import { noWorker } from "./errors.ts";
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

/** What a hash worker is sent, and what it answers: one answer for each. */
export type ToHashWorker =
  | { readonly sha256: WebAssembly.Module }
  | { readonly piece: Uint8Array<ArrayBuffer> }
  | { readonly digest: true };
export type FromHashWorker = { readonly taken: true } | { readonly digest: string };

/** Pieces on their way to the worker, so that it has the next when it is done with one. */
const piecesAhead = 2;

/** SHA-256 on another thread: it takes as long as all the rest of a download together. */
class WorkerSha256 implements Hash {
  readonly #worker: Worker;
  readonly #failed: Promise<never>;
  readonly #unanswered: ((answer: FromHashWorker) => void)[] = [];
  readonly #taken: Promise<unknown>[] = [];

  constructor(worker: Worker, sha256: WebAssembly.Module) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromHashWorker>) => this.#unanswered.shift()!(data);
    this.#failed = new Promise((_, failed) => {
      worker.onerror = ({ message }) => failed(noWorker(message ?? "no reason was given"));
    });
    this.#failed.catch(() => {}); // it may come when nobody waits
    this.#ask({ sha256 });
  }

  async update(piece: Uint8Array): Promise<void> {
    const copy = piece.slice();
    this.#taken.push(this.#ask({ piece: copy }, [copy.buffer]));
    if (this.#taken.length > piecesAhead) await Promise.race([this.#taken.shift(), this.#failed]);
  }

  async digest(): Promise<string> {
    const answer = await Promise.race([this.#ask({ digest: true }), this.#failed]);
    this.#worker.terminate();
    return (answer as { digest: string }).digest;
  }

  #ask(message: ToHashWorker, transfer: Transferable[] = []): Promise<FromHashWorker> {
    this.#worker.postMessage(message, transfer);
    return new Promise((answered) => this.#unanswered.push(answered));
  }
}

/** What a hash worker does with what it is sent. */
export function hashAnswerer(): (message: ToHashWorker) => FromHashWorker {
  let hash: Sha256;
  return (message) => {
    if ("sha256" in message) hash = new Sha256(message.sha256);
    else if ("piece" in message) hash.update(message.piece);
    else return { digest: hash.digest() };
    return { taken: true };
  };
}

/** @param script  of a worker that answers as {@link hashAnswerer}; without one the calling thread computes */
export function newWebHash(sha256: WebAssembly.Module, script: string | undefined): NewHash {
  return (algorithm) => {
    if (algorithm === "sha1") return new WholeSha1();
    return script === undefined ? new Sha256(sha256) : new WorkerSha256(new Worker(script), sha256);
  };
}

/** The digest of a short text, for names of files. */
export async function sha256OfText(text: string): Promise<string> {
  return hexOf(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

const hexOf = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

const hex = (word: number) => word.toString(16).padStart(8, "0");
