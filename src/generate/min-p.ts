import type { Candidates } from "./candidates.ts";
import { log } from "./math.ts";

/**
 * Keeps the tokens at least minP times as probable as the likeliest.
 *
 * @param candidates  likeliest first, with weights; cut in place
 * @param minP        ratio, 0 ≤ minP ≤ 1; 0 keeps every token
 * Source: Nguyen et al. 2024, arXiv:2407.01082
 */
export function keepMinP(candidates: Candidates, minP: number): void {
  const least = minP * candidates.weights[0];
  let size = candidates.size;
  while (size > 1 && candidates.weights[size - 1] < least) size--;
  candidates.size = size;
}

/**
 * At least as many tokens as `keepMinP` would keep of the whole vocabulary, and hardly more.
 *
 * @param logits  [V] f32, unnormalised, natural log; left unchanged
 * @param minP    ratio, 0 < minP ≤ 1
 */
export function countLikely(logits: Float32Array, minP: number): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) if (logits[id] > highest) highest = logits[id];
  // exp rounds by less than a thousandth of the ratio, and so does the difference of f32 logits below 1,000.
  const least = highest + log(minP) - 0.001 * (1 + Math.abs(highest));
  let count = 0;
  for (let id = 0; id < logits.length; id++) if (logits[id] >= least) count++;
  return count;
}
