import { type Candidates, keepRange, totalWeight } from "./candidates.ts";
import { log } from "./math.ts";

/**
 * Keeps the tokens whose surprise −log p is nearest to the expected one, the entropy, as many as it
 * takes for their probability to reach typicalP.
 *
 * In order of likelihood the surprise ascends, so that the tokens nearest to the entropy are neighbours:
 * the set grows from there to both sides; of equal distances the likelier goes first.
 *
 * @param candidates  likeliest first, with weights; cut in place
 * @param typicalP    probability, 0 < typicalP ≤ 1; 1 keeps every token
 * Source: Meister et al. 2022, arXiv:2202.00666
 */
export function keepTypical(candidates: Candidates, typicalP: number): void {
  if (typicalP >= 1) return;
  const { logits, weights, size } = candidates;
  const total = totalWeight(candidates);
  const logTotal = log(total);
  const surprise = (i: number) => logits[0] - logits[i] + logTotal;
  let entropy = 0;
  for (let i = 0; i < size; i++) entropy += (weights[i] / total) * surprise(i);

  let end = 0;
  while (end < size && surprise(end) <= entropy) end++;
  let start = end;
  const enough = typicalP * total;
  let sum = 0;
  do {
    const takeLikelier =
      start > 0 && (end === size || entropy - surprise(start - 1) <= surprise(end) - entropy);
    sum += weights[takeLikelier ? --start : end++];
  } while (sum < enough && (start > 0 || end < size));
  keepRange(candidates, start, end);
}
