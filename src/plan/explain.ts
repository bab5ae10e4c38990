import type { Plan } from "./plan.ts";

/**
 * The plan as text, a line per call: number, kernel, shapes, and the bytes of weights that the call
 * reads for one token. T stands for the tokens of a step, R for the rows whose logits are wanted.
 *
 * @param kernels  the device's name for each call
 */
export function explainPlan(plan: Plan, kernels: readonly string[]): string {
  const widest = Math.max(...kernels.map((name) => name.length));
  const lines = plan.notes.map((note, i) => {
    const reads = plan.readsBytes[i] > 0 ? `   reads ${mebibytes(plan.readsBytes[i])}` : "";
    return `${String(i).padStart(4)}  ${kernels[i].padEnd(widest)}  ${note}${reads}`;
  });
  const total = plan.readsBytes.reduce((sum, bytes) => sum + bytes, 0);
  const { cache, limits } = plan;
  lines.push(
    `${plan.notes.length} calls read ${mebibytes(total)} of weights for a token; ` +
      `activations take ${mebibytes(plan.arenaBytes)} for ${limits.tokens} tokens a step; ` +
      `keys and values: ${cache.type}, ${cache.pages} pages`,
  );
  return lines.join("\n");
}

function mebibytes(bytes: number): string {
  return bytes >= 2 ** 20 ? `${(bytes / 2 ** 20).toFixed(2)} MiB` : `${(bytes / 1024).toFixed(1)} KiB`;
}
