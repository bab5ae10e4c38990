import { type Candidates, keepRange, totalWeight } from "./candidates.ts";

/**
 * Excludes top choices: of the tokens with at least the threshold's probability only the least likely
 * stays, with all those below. Where fewer than two reach it, nothing changes.
 *
 * @param candidates   likeliest first, with weights; cut in place
 * @param probability  how often this is done, 0 ≤ probability ≤ 1
 * @param threshold    0 ≤ threshold ≤ 1; above 0.5 no two tokens can reach it
 * @param uniform      uniform in [0, 1), from the caller, so that a seed replays
 * Source: p-e-w 2024, https://github.com/oobabooga/text-generation-webui/pull/6335
 */
export function excludeTopChoices(
  candidates: Candidates,
  probability: number,
  threshold: number,
  uniform: number,
): void {
  if (uniform >= probability) return;
  const least = threshold * totalWeight(candidates);
  let reaching = 0;
  while (reaching < candidates.size && candidates.weights[reaching] >= least) reaching++;
  if (reaching >= 2) keepRange(candidates, reaching - 1, candidates.size);
}
