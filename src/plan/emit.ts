import type { Tensor } from "../bytes/gguf.ts";
import type { TensorType } from "../bytes/types.ts";
import type { MatrixRef, Rotary } from "../graph/graph.ts";
import type { Layout } from "./memory.ts";
import type { Weight } from "./plan.ts";
import type { Buffer, Step, Steps, View } from "./steps.ts";
import {
  common,
  floatBits,
  formOf,
  functionOf,
  type OpName,
  ops,
  ropeStyle,
  rowsOf,
  tapeWords,
  wordOf,
} from "./tape.ts";

export interface Emitted {
  readonly tape: Int32Array;
  readonly weights: readonly Weight[];
  readonly arenaBytes: number;
  readonly logits: number;
  readonly logitsStride: number;
  readonly notes: readonly string[];
  readonly readsBytes: readonly number[];
}

/** Writes the steps down as words, and collects the weights that they name. */
export function emit(
  { steps, logits }: Steps,
  { places, arenaBytes }: Layout,
  packedRowBytes: (type: TensorType, width: number) => number,
): Emitted {
  const weights = new WeightTable();
  const tape = new Int32Array(steps.length * tapeWords);
  const notes: string[] = [];
  const readsBytes: number[] = [];
  const address = (view: View) => places.get(view.buffer)!.offset + view.start * 4;
  const strideOf = (buffer: Buffer) => places.get(buffer)?.stride ?? 0;

  steps.forEach((step, at) => {
    const call = tape.subarray(at * tapeWords, (at + 1) * tapeWords);
    const name = opName(step);
    const set = <O extends OpName>(op: O, words: Record<(typeof ops)[O]["words"][number], number>) => {
      for (const [word, value] of Object.entries<number>(words)) {
        call[wordOf(op, word as (typeof ops)[O]["words"][number])] = value;
      }
    };
    const [a, b] = step.inputs;
    const repeat = "used" in step && step.op !== "route" ? step.used : "repeat" in step ? step.repeat : 1;
    call[common.op] = ops[name].id;
    // A gather runs over the rows it writes; everything else has as many rows as it reads.
    call[common.rows] = rowsOf[(step.out.width > 0 ? step.out : a.buffer).rows];
    call[common.out] = step.out.width > 0 ? address(step.out.whole()) : -1;
    call[common.outStride] = step.op === "expertSum" ? strideOf(step.out) : strideOf(step.out) / repeat;
    call[common.a] = a ? address(a) : -1;
    call[common.aStride] = a
      ? strideOf(a.buffer) / (step.op === "expertLinear" && step.shared ? 1 : repeat)
      : 0;
    call[common.b] = b ? address(b) : -1;
    call[common.bStride] = b ? strideOf(b.buffer) / (step.op === "gated" ? repeat : 1) : 0;

    const n = step.out.width / repeat;
    const form = formOf[step.out.form];
    switch (step.op) {
      case "embed":
        set("embed", {
          weight: weights.matrix([step.weight], "gathered"),
          n,
          scaleBits: floatBits(step.scale),
        });
        break;
      case "addPosition":
        set("addPosition", { weight: weights.matrix([step.weight], "gathered"), n });
        break;
      case "ropeTable": {
        const weight = weights.frequencies(step.rotary);
        set("ropeTable", { weight, n, magnitudeBits: floatBits(step.rotary.magnitude) });
        break;
      }
      case "rmsNorm": {
        const groups = a.heads;
        const epsBits = floatBits(step.eps);
        set("rmsNorm", { weight: weights.vector([step.weight]), n: n / groups, groups, form, epsBits });
        break;
      }
      case "layerNorm": {
        const epsBits = floatBits(step.eps);
        const [weight, bias] = [weights.vector([step.weight]), weights.vector([step.bias])];
        set("layerNorm", { weight, n, bias, form, epsBits });
        break;
      }
      case "quantize":
        set("quantize", { n, repeat });
        break;
      case "linear": {
        const bias = step.biases.length > 0 ? weights.vector(step.biases) : -1;
        set("matmul", { weight: weights.matrix(step.weight.parts, "multiplied"), n, k: a.width, bias });
        if (!step.residual) call[common.b] = -1;
        break;
      }
      case "rope": {
        const { style, frequencies } = step.rotary;
        const words = { n: a.width / a.heads, heads: a.heads, rotated: frequencies.length * 2 };
        set("rope", { ...words, style: ropeStyle[style] });
        break;
      }
      case "kvStore":
        set("kvStore", { layer: step.layer, n: a.width / a.heads, heads: a.heads });
        break;
      case "attention": {
        const { layer, window, kvHeads } = step;
        const words = { layer, window, kvHeads, n: a.width / a.heads, heads: a.heads };
        set("attention", {
          ...words,
          scaleBits: floatBits(step.scale),
          softcapBits: floatBits(step.softcap),
        });
        break;
      }
      case "add":
      case "gatherRows":
        set(step.op, { n });
        break;
      case "gated":
      case "activate":
        set(step.op, { n, function: functionOf[step.activation], form, repeat });
        break;
      case "softcap":
        set("softcap", { n, capBits: floatBits(step.cap) });
        break;
      case "route":
        set("route", { n: a.width, used: step.used, normalize: step.normalize ? 1 : 0 });
        break;
      case "expertLinear": {
        const weight = weights.matrix([step.weight], "multiplied");
        const { used, shared } = step;
        set("expertMatmul", { weight, n, k: step.weight.width, used, shared: shared ? 1 : 0 });
        break;
      }
      case "expertSum":
        set("expertSum", { n: step.out.width, used: step.used });
        break;
    }
    notes.push(note(step));
    readsBytes.push(weightBytes(step, packedRowBytes));
  });
  const place = places.get(logits.buffer)!;
  return {
    tape,
    weights: weights.list(),
    arenaBytes,
    logits: place.offset + logits.start * 4,
    logitsStride: place.stride,
    notes,
    readsBytes,
  };
}

/** Bytes of matrices that a step reads for one token. */
function weightBytes(step: Step, packedRowBytes: (type: TensorType, width: number) => number): number {
  const bytes = ({ tensor, width }: MatrixRef, rows: number) => packedRowBytes(tensor.type, width) * rows;
  switch (step.op) {
    case "embed":
    case "addPosition":
      return bytes(step.weight, 1);
    case "linear":
      return step.weight.parts.reduce((sum, part) => sum + bytes(part, part.rows), 0);
    case "expertLinear":
      return bytes(step.weight, step.weight.rows * step.used);
    default:
      return 0;
  }
}

function opName(step: Step): OpName {
  if (step.op === "linear") return "matmul";
  if (step.op === "expertLinear") return "expertMatmul";
  return step.op;
}

/** Shapes for people: `[T, 896] · [1152, 896] → [T, 1152]`. */
function note(step: Step): string {
  const rows = (buffer: Buffer) => (buffer.rows === "tokens" ? "T" : "R");
  const shape = (view: View) =>
    `[${rows(view.buffer)}, ${view.heads > 1 ? `${view.heads}, ${view.width / view.heads}` : view.width}]`;
  const inputs = step.inputs.map(shape);
  const out = step.out.width > 0 ? ` → ${shape(step.out.whole())}${step.out.form === "q8" ? " q8" : ""}` : "";
  switch (step.op) {
    case "linear": {
      const residual = step.residual ? ` + ${inputs[1]}` : "";
      return `${inputs[0]} · [${step.weight.rows}, ${step.weight.parts[0].width}]${residual}${out}`;
    }
    case "expertLinear": {
      const { experts, rows: height, width } = step.weight;
      return `${inputs[0]} · [${experts}, ${height}, ${width}], ${step.used} used${out}`;
    }
    case "attention":
      return `${inputs[0]}, layer ${step.layer}${step.window > 0 ? `, window ${step.window}` : ""}${out}`;
    case "kvStore":
      return `${inputs.join(", ")} → layer ${step.layer}`;
    default:
      return `${inputs.join(", ")}${out}`.trim();
  }
}

/** The weights named so far; the same tensors are named once, whatever reads them. */
class WeightTable {
  readonly #list: Weight[] = [];
  readonly #index = new Map<string, number>();

  list(): readonly Weight[] {
    return this.#list;
  }

  matrix(parts: readonly MatrixRef[], use: "gathered" | "multiplied"): number {
    const [first] = parts;
    const at = this.#place(
      "matrix",
      parts.map((part) => part.tensor),
      (name) => ({
        kind: "matrix",
        name,
        type: first.tensor.type,
        rows: parts.reduce((sum, part) => sum + part.rows, 0),
        width: first.width,
        experts: first.experts,
        parts: parts.map((part) => part.tensor),
        gathered: false,
        multiplied: false,
      }),
    );
    this.#list[at] = { ...this.#list[at], [use]: true } as Weight;
    return at;
  }

  vector(parts: readonly Tensor[]): number {
    const length = parts.reduce((sum, part) => sum + part.values, 0);
    return this.#place("vector", parts, (name) => ({ kind: "vector", name, length, parts }));
  }

  frequencies({ name, frequencies }: Rotary): number {
    this.#list.push({ kind: "frequencies", name, values: frequencies });
    return this.#list.length - 1;
  }

  #place(kind: string, parts: readonly Tensor[], make: (name: string) => Weight): number {
    const names = parts.map((part) => part.name).join(" + ");
    const key = `${kind} ${names}`;
    let at = this.#index.get(key);
    if (at === undefined) {
      at = this.#list.length;
      this.#index.set(key, at);
      this.#list.push(make(names));
    }
    return at;
  }
}
