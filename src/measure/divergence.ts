import { logitsUnusable } from "./errors.ts";
import { logSumExp } from "./log-softmax.ts";
import { RunningMean } from "./mean.ts";
import {
  type EvalOptions,
  type EvalText,
  negativeLogLikelihood,
  type Perplexity,
  type Scorer,
  summary,
  windowTokens,
} from "./perplexity.ts";
import { windowsOf } from "./windows.ts";

/** How far a model's expectations are from those of another, its original. */
export interface Divergence {
  readonly perplexity: Perplexity;
  readonly originalPerplexity: Perplexity;
  /** Kullback-Leibler divergence of the model from the original, in nats: mean over the scored tokens. */
  readonly meanKl: number;
  readonly meanKlStandardError: number;
  readonly maxKl: number;
  /** Share of scored places where both expect the same token most; of equals the lower id counts. */
  readonly sameTop: number;
}

/**
 * Compares what two models expect of the same text, window by window as {@link perplexity} reads it. Holds the
 * original's logits of one window.
 *
 * @throws ClavisError as {@link perplexity}
 */
export async function divergence(
  scorer: Scorer,
  original: Scorer,
  text: EvalText,
  options: EvalOptions = {},
): Promise<Divergence> {
  const contextLength = Math.min(scorer.contextLength, original.contextLength);
  const windows = windowsOf(text.ids.length, contextLength, options);
  const nll = new RunningMean();
  const originalNll = new RunningMean();
  const kl = new RunningMean();
  let sameTop = 0;
  for (const { start, firstScored } of windows.list) {
    const window = windowTokens(text, start, windows.context);
    const read = window.subarray(0, -1);
    const rows: Float32Array[] = [];
    const keep = (logits: Float32Array, index: number) => {
      rows.push(logits.slice());
      originalNll.add(negativeLogLikelihood(logits, window[index + 1], start + index));
    };
    await original.score(read, firstScored - 1, keep, options.signal);
    const compare = (logits: Float32Array, index: number) => {
      const originals = rows[index - (firstScored - 1)];
      nll.add(negativeLogLikelihood(logits, window[index + 1], start + index));
      const apart = klDivergence(originals, logits);
      if (Number.isNaN(apart)) throw logitsUnusable(start + index);
      kl.add(apart);
      if (indexOfLargest(logits) === indexOfLargest(originals)) sameTop++;
    };
    await scorer.score(read, firstScored - 1, compare, options.signal);
    options.progress?.(nll.count, windows.scoredTokens);
  }
  return {
    perplexity: summary(nll, text, windows),
    originalPerplexity: summary(originalNll, text, windows),
    meanKl: kl.mean,
    meanKlStandardError: kl.standardError,
    maxKl: kl.largest,
    sameTop: sameTop / kl.count,
  };
}

/**
 * Σ p · (log p − log q) in nats, at least 0 but for rounding; Infinity where the other bars a token that the
 * first expects.
 *
 * @param p, q  [V] f32 logits of the two distributions
 * Source: Kullback and Leibler 1951
 */
export function klDivergence(p: Float32Array, q: Float32Array): number {
  const [totalP, totalQ] = [logSumExp(p), logSumExp(q)];
  let sum = 0;
  for (let id = 0; id < p.length; id++) {
    const logP = p[id] - totalP;
    const weight = Math.exp(logP);
    // What is never expected counts nothing, however rare the other thinks it.
    if (weight > 0) sum += weight * (logP - (q[id] - totalQ));
  }
  return sum;
}

function indexOfLargest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}
