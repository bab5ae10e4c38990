import type { TensorType } from "../bytes/types.ts";
import type { Plan } from "../plan/plan.ts";
import { common, formOf, functionOf, type OpName, ops, tapeWords, wordOf } from "../plan/tape.ts";
import { packedType } from "./device.ts";

const opNames = new Map<number, OpName>(Object.entries(ops).map(([name, op]) => [op.id, name as OpName]));

/** The instructions that a device's kernels use, as the last part of their names. */
export interface Instructions {
  /** Products with integer weights. */
  readonly integer: string;
  /** Products with float weights. */
  readonly float: string;
  /** Everything else. */
  readonly rows: string;
  /** Products of many rows with weights of this type, where they have kernels of their own; else "". */
  readonly manyRows?: (type: TensorType) => string;
  /** Attention of many rows, where that has a kernel of its own; else "". */
  readonly attention?: string;
}

/**
 * The kernel of each call, in the grammar of names: operation, output, activations, weights, tile, instructions.
 * `q8` is a row quantised per 32 values; weights by their GGUF type without the underscore. Where steps of many rows
 * take other instructions, these follow after a plus sign.
 */
export function kernelNames(plan: Plan, instructions: Instructions): string[] {
  const names: string[] = [];
  for (let at = 0; at < plan.tape.length; at += tapeWords) {
    names.push(kernelName(plan, plan.tape.subarray(at, at + tapeWords), instructions));
  }
  return names;
}

function kernelName(
  { weights, cache }: Plan,
  call: Int32Array,
  { integer, float, rows, manyRows, attention }: Instructions,
) {
  const op = opNames.get(call[common.op])!;
  const weightType = (index: number) => {
    const weight = weights[index];
    return weight.kind === "matrix" ? typeName(packedType(weight.type)) : "f32";
  };
  const form = (word: number) => (call[word] === formOf.q8 ? "q8" : "f32");
  switch (op) {
    case "matmul":
    case "expertMatmul": {
      const weight = weightType(call[wordOf(op, "weight")]);
      const isFloat = weight === "f32" || weight === "f16" || weight === "bf16";
      const name = op === "matmul" ? "matmul" : "expert_matmul";
      const matrix = weights[call[wordOf(op, "weight")]];
      const many = (matrix.kind === "matrix" && manyRows?.(packedType(matrix.type))) || "";
      return `${name}_f32_${isFloat ? "f32" : "q8"}_${weight}_${isFloat ? float : integer}${many && `+${many}`}`;
    }
    case "embed":
      return `embed_f32_${weightType(call[wordOf(op, "weight")])}_${rows}`;
    case "addPosition":
      return `add_position_f32_${weightType(call[wordOf(op, "weight")])}_${rows}`;
    case "ropeTable":
      return "rope_table_f32";
    case "rmsNorm":
      return `rms_norm_${form(wordOf(op, "form"))}_${rows}`;
    case "layerNorm":
      return `layer_norm_${form(wordOf(op, "form"))}_${rows}`;
    case "quantize":
      return `quantize_q8_f32_${rows}`;
    case "kvStore":
      return `kv_store_${cache.type}_f32_${rows}`;
    case "attention":
      return `attention_f32_f32_${cache.type}_${rows}${attention ? `+${attention}` : ""}`;
    case "gated":
    case "activate": {
      const name = call[wordOf(op, "function")] === functionOf.silu ? "silu" : "gelu";
      return `${op === "gated" ? `gated_${name}` : name}_${form(wordOf(op, "form"))}_${rows}`;
    }
    case "gatherRows":
      return "gather_rows_f32";
    case "expertSum":
      return `expert_sum_f32_${rows}`;
    default:
      return `${op}_f32_${rows}`;
  }
}

/** Q4_0 as q40, Q4_K as q4k. */
const typeName = (type: string) => type.toLowerCase().replaceAll("_", "");
