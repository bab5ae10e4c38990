import type { Candidates } from "./candidates.ts";

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
