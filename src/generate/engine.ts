import type { Batch, Program } from "../devices/device.ts";
import { pagePositions, type StepLimits } from "../plan/plan.ts";
import type { Tokenizer } from "../tokens/tokenizer.ts";
import { Answer } from "./answer.ts";
import { engineClosed, engineClosing, engineLimits } from "./errors.ts";
import { PagePool } from "./pages.ts";
import { checkPrompt, checkRequest, type GenerateRequest } from "./request.ts";
import { firstWanted, type Reader, type Sequence } from "./sequence.ts";
import type { GenerateStream } from "./stream.ts";

export interface EngineOptions {
  readonly program: Program;
  /** The plan that the program runs, of which the engine needs these sizes. */
  readonly plan: {
    readonly limits: StepLimits;
    readonly cache: { readonly pages: number };
    readonly vocabulary: number;
  };
  readonly tokenizer: Tokenizer;
  /** Positions of one sequence; fewer where the cache or a page table has no room for them. */
  readonly contextLength: number;
}

/** Tokens of one sequence in a step. */
interface Part {
  readonly sequence: Sequence;
  readonly count: number;
}

/**
 * Makes answers to any number of requests at once (continuous batching).
 *
 * One step runs at a time. It takes the next token of every sequence that is generating, and fills what
 * room is left with pieces of prompts, in the order in which the requests came. Requests that arrive
 * meanwhile join the next step. A prompt starts when the cache has pages for all of it. A sequence that
 * finds no page for its next token waits for another to end; only when none can go on is the youngest
 * sent back to the queue, to be computed again later.
 *
 * Sources: Yu et al. 2022 (Orca, OSDI '22), iteration-level scheduling; Kwon et al. 2023, arXiv:2309.06180;
 * Agrawal et al. 2023, arXiv:2308.16369, chunked prompts
 */
export class Engine {
  /** Positions of one sequence: prompt and answer together. */
  readonly contextLength: number;
  private readonly program: Program;
  private readonly tokenizer: Tokenizer;
  private readonly limits: StepLimits;
  private readonly pool: PagePool;
  /** Logits in a row. */
  private readonly vocabulary: number;
  /** Most sequences at once: each needs a token, a row of logits and a page table in every step. */
  private readonly capacity: number;
  /** In order of admission. */
  private running: Sequence[] = [];
  private waiting: Sequence[] = [];
  private loop?: Promise<void>;
  private closed = false;

  /** @throws ClavisError `engine.limits` where the plan has no room for a step */
  constructor({ program, plan, tokenizer, contextLength }: EngineOptions) {
    const { limits, cache, vocabulary } = plan;
    this.program = program;
    this.tokenizer = tokenizer;
    this.limits = limits;
    this.vocabulary = vocabulary;
    this.pool = new PagePool(cache.pages, pagePositions);
    this.capacity = Math.min(limits.sequences, limits.tokens, limits.wanted);
    const pages = Math.min(cache.pages, limits.pagesPerSequence);
    this.contextLength = Math.min(contextLength, pages * pagePositions);
    for (const [what, size] of Object.entries({
      capacity: this.capacity,
      contextLength: this.contextLength,
    })) {
      if (!(Number.isInteger(size) && size >= 1)) throw engineLimits(what, size);
    }
  }

  /**
   * Starts an answer. It is made whether or not the stream is read.
   *
   * @throws ClavisError `generate.NAME` or `sample.NAME` for an option out of range, `context.overflow` for
   *   a prompt that does not fit, `engine.closed`
   */
  generate(request: GenerateRequest): GenerateStream {
    if (this.closed) throw engineClosed();
    checkRequest(request, this.vocabulary, this.contextLength);
    let sequence: Sequence | undefined;
    const answer = new Answer(request, {
      tokenizer: this.tokenizer,
      vocabulary: this.vocabulary,
      contextLength: this.contextLength,
      onEnd: () => {
        if (sequence) sequence.ended = true;
      },
    });
    if (!request.signal?.aborted) sequence = this.enqueue(request.prompt, answer);
    return answer.stream;
  }

  /**
   * The logits after a prompt.
   *
   * @param prompt  token ids, at least one and at most `contextLength`
   * @returns       [V] f32, the caller's own
   * @throws ClavisError as `generate`; `device.failed`
   */
  async logits(prompt: ArrayLike<number>, signal?: AbortSignal): Promise<Float32Array> {
    let last = new Float32Array();
    const keep = (logits: Float32Array) => {
      last = logits.slice();
    };
    await this.score(prompt, prompt.length - 1, keep, signal);
    return last;
  }

  /**
   * The logits after each token of a prompt from the one at `first` on. As many are computed in a step as the
   * plan has rows of logits for, so few where it was made for answers alone.
   *
   * @param prompt  token ids, at least one and at most `contextLength`
   * @param first   0 ≤ first < prompt.length
   * @param onRow   called in order with [V] f32, a view that the next step overwrites, and the token's index
   * @throws ClavisError as `generate`; `device.failed`; what `onRow` throws
   */
  score(
    prompt: ArrayLike<number>,
    first: number,
    onRow: (logits: Float32Array, index: number) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.closed) throw engineClosed();
      signal?.throwIfAborted();
      checkPrompt(prompt, this.vocabulary, this.contextLength, this.contextLength);
      const onAbort = () => {
        sequence.ended = true;
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", onAbort);
      const sequence = this.enqueue(
        prompt,
        {
          pass: onRow,
          take: (logits, tokens) => {
            onRow(logits, tokens.length - 1);
            signal?.removeEventListener("abort", onAbort);
            resolve();
            return undefined;
          },
          fail: (error) => {
            signal?.removeEventListener("abort", onAbort);
            reject(error);
          },
        },
        first,
      );
    });
  }

  /**
   * Ends all requests with `engine.closed` and waits for the step that is running. The program stays open.
   * A second call does nothing more.
   */
  async close(): Promise<void> {
    this.closed = true;
    for (const sequence of [...this.running, ...this.waiting]) this.fail(sequence, engineClosing());
    await this.loop;
  }

  private enqueue(prompt: ArrayLike<number>, reader: Reader, firstWanted?: number): Sequence {
    const sequence: Sequence = {
      reader,
      tokens: Array.from(prompt),
      computed: 0,
      firstWanted,
      holding: this.pool.hold(),
      begun: false,
      ended: false,
    };
    this.waiting.push(sequence);
    this.loop ??= this.run();
    return sequence;
  }

  /** Steps until there is nothing to do. */
  private async run(): Promise<void> {
    // Requests made in the same turn share the first step.
    await turn();
    for (;;) {
      this.dismiss();
      if (this.running.length + this.waiting.length === 0) break;
      let parts: readonly Part[] = [];
      try {
        parts = this.compose();
        const logits = await this.program.run(this.batch(parts));
        this.advance(parts, logits);
      } catch (error) {
        // Without a step it is the engine's own fault, and none of its requests could go on.
        const all = [...this.running, ...this.waiting];
        const affected = parts.length > 0 ? parts.map(({ sequence }) => sequence) : all;
        for (const sequence of affected) this.fail(sequence, error);
      }
      await turn();
    }
    this.loop = undefined;
  }

  /** Lets go of sequences that have ended, and of their pages. */
  private dismiss(): void {
    for (const sequence of this.running) if (sequence.ended) this.pool.release(sequence.holding);
    this.running = this.running.filter(({ ended }) => !ended);
    this.waiting = this.waiting.filter(({ ended }) => !ended);
  }

  /** Chooses what the next step computes: at least one token. */
  private compose(): Part[] {
    const parts: Part[] = [];
    let room = this.limits.tokens;
    // Every sequence has a row of logits; those that want more share what is left.
    let spareRows = this.limits.wanted - this.capacity;
    const schedule = (sequence: Sequence) => {
      const { tokens, computed, holding } = sequence;
      const pending = tokens.length - computed;
      if (holding.pages.length * pagePositions === computed && !this.pool.extend(holding)) return;
      const unwanted = firstWanted(sequence) - computed;
      const count = Math.min(
        pending,
        room,
        holding.pages.length * pagePositions - computed,
        unwanted + 1 + spareRows,
      );
      if (count === 0) return;
      parts.push({ sequence, count });
      room -= count;
      spareRows -= Math.max(0, count - unwanted - 1);
    };
    const generating = this.running.filter(({ tokens, computed }) => tokens.length - computed === 1);
    const reading = this.running.filter(({ tokens, computed }) => tokens.length - computed > 1);
    for (const sequence of [...generating, ...reading]) schedule(sequence);
    while (room > 0) {
      const sequence = this.admit();
      if (sequence === undefined) break;
      schedule(sequence);
    }
    if (parts.length > 0) return parts;
    // Every page is held by sequences that all wait for another one.
    const youngest = this.running.pop()!;
    this.restart(youngest, youngest.tokens);
    return this.compose();
  }

  /** Moves the first waiting sequence to the running ones if there is room for all its tokens. */
  private admit(): Sequence | undefined {
    const sequence = this.waiting[0];
    if (sequence === undefined || this.running.length >= this.capacity) return undefined;
    const { tokens, holding } = sequence;
    const pages = Math.ceil(tokens.length / pagePositions);
    // Tokens whose logits are wanted are computed, whatever the cache has of them.
    const most = firstWanted(sequence);
    const found = this.pool.find(tokens, most);
    // The running ones will each want a page soon; taking the last ones would send somebody back.
    const needed = pages - found.pages + this.running.length;
    if (this.pool.available - found.kept < needed) return undefined;
    this.waiting.shift();
    sequence.computed = this.pool.reuse(holding, tokens, most);
    while (holding.pages.length < pages) this.pool.extend(holding);
    this.running.push(sequence);
    if (!sequence.begun) sequence.reader.begin?.(sequence.computed);
    sequence.begun = true;
    return sequence;
  }

  /** Lets go of a sequence's pages and puts it first in the queue. */
  private restart(sequence: Sequence, tokens: readonly number[]): void {
    this.pool.release(sequence.holding);
    sequence.tokens = [...tokens];
    this.waiting.unshift(sequence);
  }

  private batch(parts: readonly Part[]): Batch {
    const size = parts.reduce((sum, { count }) => sum + count, 0);
    const tokens = new Int32Array(size);
    const positions = new Int32Array(size);
    const slots = new Int32Array(size);
    const wanted: number[] = [];
    let at = 0;
    for (const [slot, { sequence, count }] of parts.entries()) {
      for (let i = 0; i < count; i++, at++) {
        positions[at] = sequence.computed + i;
        tokens[at] = sequence.tokens[positions[at]];
        slots[at] = slot;
        if (positions[at] >= firstWanted(sequence)) wanted.push(at);
      }
    }
    const pageTables = parts.map(({ sequence }) => Int32Array.from(sequence.holding.pages));
    return { tokens, positions, slots, pageTables, wanted: Int32Array.from(wanted) };
  }

  /** Takes note of what a step computed, and lets each sequence choose its next token. */
  private advance(parts: readonly Part[], logits: Float32Array): void {
    let row = 0;
    for (const { sequence, count } of parts) {
      const { tokens } = sequence;
      const first = Math.max(firstWanted(sequence), sequence.computed);
      sequence.computed += count;
      this.pool.index(sequence.holding, tokens, sequence.computed);
      for (let index = first; index < sequence.computed; index++) {
        const start = row++ * this.vocabulary;
        if (sequence.ended) continue;
        try {
          this.hand(sequence, logits.subarray(start, start + this.vocabulary), index);
        } catch (error) {
          this.fail(sequence, error);
        }
      }
    }
  }

  /** Hands the logits after a token to the sequence's reader, and does what it asks for. */
  private hand(sequence: Sequence, logits: Float32Array, index: number): void {
    const { reader, tokens } = sequence;
    if (index < tokens.length - 1) {
      reader.pass?.(logits, index);
      // It need not be computed again, should the sequence be sent back.
      sequence.firstWanted = index + 1;
      return;
    }
    const next = reader.take(logits, tokens);
    if (next === undefined) sequence.ended = true;
    else if (typeof next === "number") tokens.push(next);
    else {
      this.running = this.running.filter((other) => other !== sequence);
      this.restart(sequence, next);
    }
  }

  private fail(sequence: Sequence, error: unknown): void {
    if (sequence.ended) return;
    sequence.ended = true;
    sequence.reader.fail(error);
  }
}

/** Lets timers, signals and messages have their turn, which a device that never waits would not. */
function turn(): Promise<void> {
  if (typeof setImmediate === "function") return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
