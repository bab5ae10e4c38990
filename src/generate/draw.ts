import { type Candidates, totalWeight } from "./candidates.ts";

/**
 * Draws a candidate with a probability in proportion to its weight.
 *
 * @param candidates  with weights, at least one of them above 0
 * @param uniform     uniform in [0, 1), from the caller, so that a seed replays
 * @returns           an index, 0 ≤ index < size
 */
export function draw(candidates: Candidates, uniform: number): number {
  let rest = uniform * totalWeight(candidates);
  let last = 0;
  for (let i = 0; i < candidates.size; i++) {
    const weight = candidates.weights[i];
    if (weight === 0) continue;
    if (rest < weight) return i;
    rest -= weight;
    last = i;
  }
  // Rounding of the subtractions can leave a rest after the last one.
  return last;
}
