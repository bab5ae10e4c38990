import type { Buffer, Step, Steps } from "./steps.ts";

/**
 * A sum whose one side is a linear step that nothing else reads is done where the linear step writes
 * its result: one pass over memory less. The order is the contract's: residual + product.
 */
export function fuseResiduals({ steps, logits }: Steps): Steps {
  const readers = new Map<Buffer, number>();
  const position = new Map<Buffer, number>();
  steps.forEach((step, i) => {
    position.set(step.out, i);
    for (const { buffer } of step.inputs) readers.set(buffer, (readers.get(buffer) ?? 0) + 1);
  });
  const result: Step[] = [...steps];
  const removed = new Set<Step>();
  for (const step of steps) {
    if (step.op !== "add") continue;
    for (const [product, other] of [step.inputs, [...step.inputs].reverse()]) {
      const at = position.get(product.buffer)!;
      const linear = result[at];
      const alone = readers.get(product.buffer) === 1 && product.width === product.buffer.width;
      const ready = (position.get(other.buffer) ?? -1) < at;
      if (linear?.op !== "linear" || linear.residual || !alone || !ready || product.buffer === logits.buffer)
        continue;
      result[at] = { ...linear, out: step.out, inputs: [linear.inputs[0], other], residual: true };
      position.set(step.out, at);
      removed.add(step);
      break;
    }
  }
  return { steps: result.filter((step) => !removed.has(step)), logits };
}
