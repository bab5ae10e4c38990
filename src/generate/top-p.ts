import { type Candidates, totalWeight } from "./candidates.ts";

/**
 * Keeps the smallest set of likeliest tokens whose probability reaches topP.
 *
 * @param candidates  likeliest first, with weights; cut in place
 * @param topP        probability, 0 < topP ≤ 1; 1 keeps every token
 * Source: Holtzman et al. 2019, arXiv:1904.09751
 */
export function keepTopP(candidates: Candidates, topP: number): void {
  if (topP >= 1) return;
  const enough = topP * totalWeight(candidates);
  let sum = 0;
  for (let i = 0; i < candidates.size; i++) {
    sum += candidates.weights[i];
    if (sum >= enough) {
      candidates.size = i + 1;
      return;
    }
  }
}
