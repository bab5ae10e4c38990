import type { TensorType } from "../bytes/types.ts";
import { Buffer, type Step, type Steps, type View } from "./steps.ts";

const canQuantize = (step: Step): boolean =>
  step.op === "gated" ||
  step.op === "activate" ||
  step.op === "layerNorm" ||
  (step.op === "rmsNorm" && step.inputs[0].heads === 1);

/**
 * Integer weights multiply activations quantised per 32. Where all readers of a norm or a gate are
 * such weights, it writes its output quantised; elsewhere a step of its own does, once for all readers.
 */
export function quantizeActivations(
  { steps, logits }: Steps,
  quantized: (type: TensorType) => boolean,
): Steps {
  const wantsQ8 = (step: Step, input: number): boolean =>
    input === 0 &&
    ((step.op === "linear" && quantized(step.weight.parts[0].tensor.type)) ||
      (step.op === "expertLinear" && quantized(step.weight.tensor.type)));
  const isWhole = (view: View) => view.start === 0 && view.width === view.buffer.width;

  const plainlyRead = new Set<Buffer>([logits.buffer]);
  for (const step of steps) {
    step.inputs.forEach((view, i) => {
      if (!wantsQ8(step, i) || !isWhole(view)) plainlyRead.add(view.buffer);
    });
  }
  const result: Step[] = [];
  const copies = new Map<string, Buffer>();
  const ids = new Map<Buffer, number>();
  const makers = new Map<Buffer, Step>(steps.map((step) => [step.out, step]));
  for (const step of steps) {
    const inputs = step.inputs.map((view, i) => {
      if (!wantsQ8(step, i)) return view;
      const maker = makers.get(view.buffer)!;
      if (!plainlyRead.has(view.buffer) && canQuantize(maker)) {
        view.buffer.form = "q8";
        return view;
      }
      if (!ids.has(view.buffer)) ids.set(view.buffer, ids.size);
      const key = `${ids.get(view.buffer)} ${view.start} ${view.width}`;
      let copy = copies.get(key);
      if (!copy) {
        copy = new Buffer(view.width, view.buffer.rows, "q8");
        copies.set(key, copy);
        const repeat = step.op === "expertLinear" && !step.shared ? step.used : 1;
        result.push({ op: "quantize", out: copy, inputs: [view], repeat });
      }
      return { buffer: copy, start: 0, width: view.width, heads: view.heads };
    });
    result.push({ ...step, inputs });
  }
  return { steps: result, logits };
}
