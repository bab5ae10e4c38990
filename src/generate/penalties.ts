/**
 * Makes tokens less likely that occurred before: a positive logit is divided by the penalty, a negative
 * one multiplied with it.
 *
 * @param logits   [V] f32; changed in place
 * @param tokens   ids that occurred, each once
 * @param penalty  above 0; 1 changes nothing
 * Source: Keskar et al. 2019, arXiv:1909.05858
 */
export function penalizeRepeats(logits: Float32Array, tokens: Iterable<number>, penalty: number): void {
  for (const id of tokens) logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
}

/**
 * Lowers the logit of each token by frequency for each time it was generated, and by presence if at all.
 *
 * @param logits     [V] f32; changed in place
 * @param counts     id → how often it was generated, at least 1
 * @param frequency  natural log units for each time
 * @param presence   natural log units
 * Source: OpenAI API reference, frequency_penalty and presence_penalty
 */
export function penalizeCounts(
  logits: Float32Array,
  counts: ReadonlyMap<number, number>,
  frequency: number,
  presence: number,
): void {
  for (const [id, count] of counts) logits[id] -= count * frequency + presence;
}
