import type { MatrixRef } from "../graph/graph.ts";
import { Buffer, type Step, type Steps, type View } from "./steps.ts";

type LinearStep = Extract<Step, { op: "linear" }>;

/**
 * Linear steps that read the same columns and whose weights have one type become one: q, k and v, or
 * gate and up. One pass over the activations, one barrier, longer rows to share among threads.
 */
export function joinLinears({ steps, logits }: Steps): Steps {
  const groups = new Map<string, LinearStep[]>();
  const ids = new Map<Buffer, number>();
  for (const step of steps) {
    if (step.op !== "linear") continue;
    const { buffer, start, width } = step.inputs[0];
    if (!ids.has(buffer)) ids.set(buffer, ids.size);
    const { type } = step.weight.parts[0].tensor;
    const key = [ids.get(buffer), start, width, type, step.biases.length > 0, step.out.rows].join(" ");
    groups.set(key, [...(groups.get(key) ?? []), step]);
  }

  const moved = new Map<Buffer, { buffer: Buffer; start: number }>();
  const joinedAt = new Map<Step, LinearStep | undefined>();
  for (const group of groups.values()) {
    if (group.length < 2) continue;
    const out = new Buffer(
      group.reduce((sum, step) => sum + step.out.width, 0),
      group[0].out.rows,
    );
    const parts: MatrixRef[] = [];
    let start = 0;
    for (const step of group) {
      moved.set(step.out, { buffer: out, start });
      start += step.out.width;
      parts.push(...step.weight.parts);
      joinedAt.set(step, undefined);
    }
    joinedAt.set(group[0], {
      ...group[0],
      out,
      weight: { parts, rows: out.width },
      biases: group.flatMap((step) => step.biases),
    });
  }

  const follow = (input: View): View => {
    const to = moved.get(input.buffer);
    return to ? { ...input, buffer: to.buffer, start: to.start + input.start } : input;
  };
  const result: Step[] = [];
  for (const step of steps) {
    const kept = joinedAt.has(step) ? joinedAt.get(step) : step;
    if (kept) result.push({ ...kept, inputs: kept.inputs.map(follow) });
  }
  return { steps: result, logits: follow(logits) };
}
