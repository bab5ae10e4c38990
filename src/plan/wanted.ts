import { Buffer, type Step, type Steps, type View } from "./steps.ts";

/**
 * Behind the last attention only the rows whose logits are wanted matter: those steps run over them
 * alone. A value of all tokens that such a step reads is gathered first.
 */
export function narrowToWanted({ steps, logits }: Steps): Steps {
  const everyRow = new Set<Buffer>();
  const needsEveryRow = (step: Step) =>
    step.op === "kvStore" || step.op === "attention" || step.op === "rope" || everyRow.has(step.out);
  for (const step of [...steps].reverse()) {
    if (!needsEveryRow(step)) continue;
    for (const input of step.inputs) everyRow.add(input.buffer);
  }
  const isNarrow = (step: Step) =>
    !needsEveryRow(step) && step.op !== "embed" && step.op !== "addPosition" && step.op !== "ropeTable";

  const result: Step[] = [];
  // Gathers stand together before the first narrow step, so that sums can be fused behind them.
  let boundary = -1;
  const gathered = new Map<Buffer, Buffer>();
  const narrowed = (input: View): View => {
    if (input.buffer.rows === "wanted") return input;
    let buffer = gathered.get(input.buffer);
    if (!buffer) {
      buffer = new Buffer(input.buffer.width, "wanted");
      gathered.set(input.buffer, buffer);
      const made = result.findIndex((step) => step.out === input.buffer);
      if (boundary <= made) boundary = result.length;
      result.splice(boundary++, 0, { op: "gatherRows", out: buffer, inputs: [input.buffer.whole()] });
    }
    return { ...input, buffer };
  };
  for (const step of steps) {
    if (isNarrow(step)) {
      const inputs = step.inputs.map(narrowed);
      step.out.rows = "wanted";
      result.push({ ...step, inputs });
    } else {
      result.push(step);
    }
  }
  return { steps: result, logits: narrowed(logits) };
}
