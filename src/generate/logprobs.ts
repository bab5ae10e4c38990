import { exp } from "../devices/reference/math.ts";
import { largest } from "./candidates.ts";
import { log } from "./math.ts";

/** A token with the natural logarithm of its probability. */
export type TokenLogprob = readonly [id: number, logprob: number];

/**
 * The logarithm of the model's own probabilities: softmax of the logits as they came, before bias,
 * penalties and temperature.
 *
 * @param logits  [V] f32, unnormalised, natural log; left unchanged
 * @param token   0 ≤ token < V
 * @param top     how many of the likeliest tokens to list, 0 ≤ top
 * @throws ClavisError `sample.nan`, `sample.infinite`, `sample.empty`
 */
export function logprobsOf(
  logits: Float32Array,
  token: number,
  top: number,
): { logprob: number; top: TokenLogprob[] } {
  const candidates = largest(logits, Math.max(1, top));
  const highest = candidates.logits[0];
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += exp(Math.fround(logits[id] - highest));
  const offset = highest + log(total);
  const list: TokenLogprob[] = [];
  for (let i = 0; i < Math.min(top, candidates.size); i++) {
    list.push([candidates.ids[i], candidates.logits[i] - offset]);
  }
  return { logprob: logits[token] - offset, top: list };
}
