import { StreamDecoder } from "../tokens/stream-decoder.ts";
import type { Tokenizer } from "../tokens/tokenizer.ts";
import type { GenerateRequest } from "./request.ts";
import { createSampler, type Sampler } from "./sampler.ts";
import type { Reader } from "./sequence.ts";
import { StopFinder } from "./stop.ts";
import { type FinishReason, GenerateStream, type PieceLogprob } from "./stream.ts";

/** Turns the logits of one sequence into tokens, and those into the pieces of a stream. */
export class Answer implements Reader {
  readonly stream: GenerateStream;
  private readonly request: GenerateRequest;
  private readonly tokenizer: Tokenizer;
  private readonly contextLength: number;
  /** Tokens that have a text, and so can be drawn: a model may have padded its rows of logits. */
  private readonly drawable: number;
  private readonly sampler: Sampler;
  private readonly decoder: StreamDecoder;
  private readonly stops: StopFinder;
  /** Control tokens named by a stop string; they have no text in which it could be found. */
  private readonly stopTokens = new Map<number, string>();
  /** Called once, where the answer has ended for whatever reason. */
  private readonly onEnd: () => void;
  private readonly onAbort = () => this.end(() => this.stream.fail(this.request.signal!.reason, true));
  /** Tokens whose text was not given out yet. */
  private pending: number[] = [];
  private pendingLogprobs: PieceLogprob[] = [];
  private generatedTokens = 0;
  private cachedTokens = 0;
  private shifts = 0;
  private ended = false;
  private readonly requestedAt = performance.now();
  private begunAt?: number;
  private firstTokenAt?: number;

  /** @throws ClavisError `sample.NAME` for a sampling option out of range */
  constructor(
    request: GenerateRequest,
    options: { tokenizer: Tokenizer; vocabulary: number; contextLength: number; onEnd: () => void },
  ) {
    const { tokenizer } = options;
    this.request = request;
    this.tokenizer = tokenizer;
    this.contextLength = options.contextLength;
    this.onEnd = options.onEnd;
    this.drawable = Math.min(options.vocabulary, tokenizer.vocabularySize);
    this.sampler = createSampler(request.sampling ?? {}, this.drawable, {
      prompt: request.prompt,
      tokenText: (id) => tokenizer.decode([id]),
    });
    this.decoder = new StreamDecoder(tokenizer, { continues: request.continues ?? true });
    this.stops = new StopFinder(request.stop ?? []);
    for (const stop of request.stop ?? []) {
      const token = controlToken(tokenizer, stop);
      if (token !== undefined) this.stopTokens.set(token, stop);
    }
    this.stream = new GenerateStream(() => this.finish("cancelled"));
    if (request.signal?.aborted) this.onAbort();
    else request.signal?.addEventListener("abort", this.onAbort);
  }

  begin(cachedTokens: number): void {
    this.begunAt = performance.now();
    this.cachedTokens = cachedTokens;
  }

  take(logits: Float32Array, tokens: readonly number[]): number | readonly number[] | undefined {
    const { request } = this;
    const { token, logprob, top } = this.sampler.sample(logits.subarray(0, this.drawable));
    this.firstTokenAt ??= performance.now();
    this.generatedTokens++;
    const stopped = this.stopTokens.get(token);
    if (stopped !== undefined) return this.finish("stop", stopped);
    if (!request.ignoreEnd && this.tokenizer.endTokens.has(token)) return this.finish("end");

    this.sampler.accept(token);
    this.pending.push(token);
    if (logprob !== undefined) this.pendingLogprobs.push({ token, logprob, top: top! });
    const { text, stop } = this.stops.push(this.decoder.push(token));
    if (text !== "") this.emit(text);
    if (stop !== undefined) return this.finish("stop", stop);
    if (this.generatedTokens === request.maxTokens) return this.finish("length");
    if (tokens.length + 1 < this.contextLength) return token;
    if (request.overflow !== "shift") return this.finish("length");
    return this.shift([...tokens, token]);
  }

  fail(error: unknown): void {
    this.end(() => this.stream.fail(error, false));
  }

  /** Keeps the first tokens and the newer half of the others. */
  private shift(tokens: readonly number[]): readonly number[] {
    const keep = this.request.keep ?? (tokens[0] === this.tokenizer.bos ? 1 : 0);
    const newer = Math.floor((tokens.length - keep) / 2);
    this.shifts++;
    return [...tokens.slice(0, keep), ...tokens.slice(tokens.length - newer)];
  }

  private emit(text: string): void {
    const tokens = this.pending;
    this.pending = [];
    if (this.request.sampling?.logprobs === undefined) this.stream.push({ text, tokens });
    else {
      this.stream.push({ text, tokens, logprobs: this.pendingLogprobs });
      this.pendingLogprobs = [];
    }
  }

  private finish(finishReason: FinishReason, stopString?: string): undefined {
    this.end(() => {
      // Where a stop string was found in the text, what is left is part of it or comes after it.
      if (finishReason !== "cancelled" && !this.stops.found) {
        const last = this.stops.push(this.decoder.end());
        const text = last.stop === undefined ? last.text + this.stops.end() : last.text;
        if (text !== "" || this.pending.length > 0) this.emit(text);
      }
      const now = performance.now();
      const begunAt = this.begunAt ?? now;
      const firstTokenAt = this.firstTokenAt ?? now;
      this.stream.finish({
        finishReason,
        stopString,
        promptTokens: this.request.prompt.length,
        cachedTokens: this.cachedTokens,
        generatedTokens: this.generatedTokens,
        shifts: this.shifts,
        seed: this.sampler.seed,
        promptMs: firstTokenAt - begunAt,
        generateMs: now - firstTokenAt,
        firstTokenMs: firstTokenAt - this.requestedAt,
      });
    });
  }

  private end(settle: () => void): void {
    if (this.ended) return;
    this.ended = true;
    this.request.signal?.removeEventListener("abort", this.onAbort);
    settle();
    this.onEnd();
  }
}

/** The control token that a text names, e.g. "<|im_end|>". */
function controlToken(tokenizer: Tokenizer, text: string): number | undefined {
  try {
    const ids = tokenizer.encode(text, { special: true });
    return ids.length === 1 && tokenizer.isControl(ids[0]) ? ids[0] : undefined;
  } catch {
    // A text that the vocabulary cannot spell names none.
    return undefined;
  }
}
