import type { Holding } from "./pages.ts";

/** What a sequence does once the logits of its last token are known. */
export interface Reader {
  /**
   * @param logits  [V] f32 after the last token; a view that the next step overwrites
   * @param tokens  all tokens of the sequence so far
   * @returns       the token to go on with, tokens to start again from, or nothing where it is done
   */
  take(logits: Float32Array, tokens: readonly number[]): number | readonly number[] | undefined;
  /**
   * Called in order for each token from `firstWanted` on that is not the last.
   *
   * @param logits  [V] f32 after that token; a view that the next step overwrites
   * @param index   which token, from 0
   */
  pass?(logits: Float32Array, index: number): void;
  /** Called once where the sequence cannot go on. */
  fail(error: unknown): void;
  /** Called at the start of its first step. */
  begin?(cachedTokens: number): void;
}

/** Tokens on their way through the model, and the part of the cache that they hold. */
export interface Sequence {
  readonly reader: Reader;
  /** All tokens, the newest of which may not be in the cache yet. */
  tokens: number[];
  /** How many tokens, from the front, are in the cache; set when the sequence is admitted. */
  computed: number;
  /** The first token whose logits are still wanted. Default: the last of all. */
  firstWanted?: number;
  readonly holding: Holding;
  begun: boolean;
  /** Done, failed or given up: its pages are let go after the step that is running. */
  ended: boolean;
}

/** The first token of a sequence whose logits are wanted; it and those behind it are computed anew. */
export function firstWanted({ firstWanted, tokens }: Sequence): number {
  return firstWanted ?? tokens.length - 1;
}
