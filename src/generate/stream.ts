import type { TokenLogprob } from "./logprobs.ts";

/** Text that can be shown now: whole characters, and no part of a stop string. */
export interface Piece {
  readonly text: string;
  /** Ids of the tokens that make up the text; their number need not be one. */
  readonly tokens: readonly number[];
  /** One for each of `tokens`, where `sampling.logprobs` is set. */
  readonly logprobs?: readonly PieceLogprob[];
}

export interface PieceLogprob {
  readonly token: number;
  /** Natural logarithm of the token's probability before penalties and temperature. */
  readonly logprob: number;
  /** The likeliest tokens in its place. */
  readonly top: readonly TokenLogprob[];
}

/**
 * Why an answer ended: the model ended it, a stop string occurred, `maxTokens` or the context was full, or
 * the reader left the loop.
 */
export type FinishReason = "end" | "stop" | "length" | "cancelled";

export interface GenerateResult {
  readonly finishReason: FinishReason;
  /** The stop string that occurred; it is not part of the text. */
  readonly stopString?: string;
  readonly promptTokens: number;
  /** Prompt tokens found in the cache, so not computed again. */
  readonly cachedTokens: number;
  /** Tokens drawn, with the one that ended the answer and those of a stop string. */
  readonly generatedTokens: number;
  /** How often the older half of the text was dropped to make room (`overflow: "shift"`). */
  readonly shifts: number;
  /** The seed in use; the same one gives the same answer again. */
  readonly seed: number;
  /** From the first step of the prompt to the first token. */
  readonly promptMs: number;
  /** From the first token to the end. */
  readonly generateMs: number;
  /** From the request to the first token, waiting included. */
  readonly firstTokenMs: number;
}

/**
 * An answer as it is made: pieces to iterate over, once, and the result at the end.
 *
 * The answer is made whether or not anyone reads. Leaving the loop early ends it, and `result` then says
 * "cancelled". An abort signal makes both the loop and `result` throw the signal's reason, at once; an
 * error of the model makes them throw after the pieces made before it.
 */
export class GenerateStream implements AsyncIterableIterator<Piece> {
  readonly result: Promise<GenerateResult>;
  private readonly pieces: Piece[] = [];
  private readonly readers: {
    resolve: (next: IteratorResult<Piece, undefined>) => void;
    reject: (error: unknown) => void;
  }[] = [];
  private outcome?: { error?: unknown; failed: boolean };
  private settle!: { resolve: (result: GenerateResult) => void; reject: (error: unknown) => void };
  private readonly cancel: () => void;

  /** @param cancel  called where the reader leaves early */
  constructor(cancel: () => void) {
    this.cancel = cancel;
    this.result = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    // Who only reads the pieces gets the error there; it must not count as unhandled here.
    this.result.catch(() => {});
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Piece, undefined>> {
    const piece = this.pieces.shift();
    if (piece) return Promise.resolve({ done: false, value: piece });
    if (this.outcome?.failed) {
      const { error } = this.outcome;
      this.outcome = { failed: false };
      return Promise.reject(error);
    }
    if (this.outcome) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.readers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Piece, undefined>> {
    this.pieces.length = 0;
    if (!this.outcome) this.cancel();
    this.outcome = { failed: false };
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Called by the engine. */
  push(piece: Piece): void {
    const reader = this.readers.shift();
    if (reader) reader.resolve({ done: false, value: piece });
    else this.pieces.push(piece);
  }

  /** Called by the engine. */
  finish(result: GenerateResult): void {
    this.outcome = { failed: false };
    this.settle.resolve(result);
    for (const reader of this.readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }

  /** Called by the engine. @param drop  whether pieces that were not read yet are dropped */
  fail(error: unknown, drop: boolean): void {
    if (drop) this.pieces.length = 0;
    const [reader, ...others] = this.readers.splice(0);
    this.outcome = { error, failed: reader === undefined };
    this.settle.reject(error);
    reader?.reject(error);
    for (const other of others) other.resolve({ done: true, value: undefined });
  }
}
