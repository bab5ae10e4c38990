/**
 * log Σ e^logit in binary64, so that log-probabilities are the logits less this. NaN where a logit is NaN or
 * +Infinity, or all are −Infinity.
 *
 * Math.exp and Math.log are good enough here, unlike where a token is drawn: their last bit may differ from one
 * JavaScript engine to the next, and no figure shows it.
 *
 * @param logits  [V] f32, unnormalised, natural log; left unchanged
 */
export function logSumExp(logits: Float32Array): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) if (logits[id] > highest) highest = logits[id];
  // The largest taken away first: no power overflows, and one of them is 1.
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id] - highest);
  return highest + Math.log(sum);
}
