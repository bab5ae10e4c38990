import { logitsUnusable } from "./errors.ts";
import { logSumExp } from "./log-softmax.ts";
import { RunningMean } from "./mean.ts";
import { type WindowOptions, type Windows, windowsOf } from "./windows.ts";

export interface EvalOptions extends WindowOptions {
  /** Told after each window: tokens scored so far of all. */
  readonly progress?: (doneTokens: number, allTokens: number) => void;
  readonly signal?: AbortSignal;
}

/** What gives logits after the tokens of a text; the engine does. */
export interface Scorer {
  /** The most tokens of a window. */
  readonly contextLength: number;
  /**
   * Reads tokens from an empty cache and hands over the logits after each from the one at `first` on.
   *
   * @param onRow  called in order with [V] f32, a view that does not last, and the token's index
   */
  score(
    tokens: ArrayLike<number>,
    first: number,
    onRow: (logits: Float32Array, index: number) => void,
    signal?: AbortSignal,
  ): Promise<void>;
}

/** A text as a model's tokenizer sees it. */
export interface EvalText {
  /** The text's own tokens, without bos. */
  readonly ids: Int32Array;
  /** Takes the place of each window's first token, where the model's texts begin with one. */
  readonly bos?: number;
}

/** How well a model expects a text. */
export interface Perplexity {
  /** e to the mean negative log-likelihood of a token. */
  readonly perplexity: number;
  /** Of the perplexity, as if tokens were independent. */
  readonly standardError: number;
  /** Mean negative log-likelihood of a token, in nats. */
  readonly nll: number;
  readonly nllStandardError: number;
  /** Tokens of the text, and how many of them were scored. */
  readonly tokens: number;
  readonly scoredTokens: number;
  readonly windows: number;
  readonly context: number;
  readonly stride: number;
}

/**
 * The perplexity of a text: e to the mean of −log p(token | the tokens before it in its window), over all scored
 * tokens of all windows; sums in binary64. By default windows, scored tokens and standard error are those of
 * llama.cpp's perplexity tool, but that it counts a bos in front of the text as a token: there, windows of models
 * with bos lie one token earlier in the text.
 *
 * @throws ClavisError `eval.*`; what the model's steps throw
 * Source: llama.cpp, tools/perplexity/perplexity.cpp
 */
export async function perplexity(
  scorer: Scorer,
  text: EvalText,
  options: EvalOptions = {},
): Promise<Perplexity> {
  const windows = windowsOf(text.ids.length, scorer.contextLength, options);
  const nll = new RunningMean();
  for (const { start, firstScored } of windows.list) {
    const window = windowTokens(text, start, windows.context);
    const onRow = (logits: Float32Array, index: number) => {
      nll.add(negativeLogLikelihood(logits, window[index + 1], start + index));
    };
    // Nothing follows the last token, so it is not read.
    await scorer.score(window.subarray(0, -1), firstScored - 1, onRow, options.signal);
    options.progress?.(nll.count, windows.scoredTokens);
  }
  return summary(nll, text, windows);
}

/** −log p(token) in nats. @param index  the token of the text that the logits follow */
export function negativeLogLikelihood(logits: Float32Array, token: number, index: number): number {
  const total = logSumExp(logits);
  if (!Number.isFinite(total)) throw logitsUnusable(index);
  return total - logits[token];
}

export function windowTokens({ ids, bos }: EvalText, start: number, context: number): Int32Array {
  const window = ids.slice(start, start + context);
  if (bos !== undefined) window[0] = bos;
  return window;
}

export function summary(nll: RunningMean, text: EvalText, windows: Windows): Perplexity {
  const value = Math.exp(nll.mean);
  return {
    perplexity: value,
    standardError: value * nll.standardError,
    nll: nll.mean,
    nllStandardError: nll.standardError,
    tokens: text.ids.length,
    scoredTokens: nll.count,
    windows: windows.list.length,
    context: windows.context,
    stride: windows.stride,
  };
}
