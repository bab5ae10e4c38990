import type { Tensor } from "../bytes/gguf.ts";
import type { Graph, MatrixRef, Node, Rotary } from "../graph/graph.ts";
import { inputsOf, type Value } from "../graph/graph.ts";

/** Which rows of the step a buffer has: all T tokens, or the R whose logits are wanted. */
export type Rows = "tokens" | "wanted";

/** Columns of a buffer. */
export interface View {
  readonly buffer: Buffer;
  readonly start: number;
  readonly width: number;
  readonly heads: number;
}

/** What a step writes: rows of f32 values, or rows quantised per 32. */
export class Buffer {
  readonly width: number;
  rows: Rows;
  form: "f32" | "q8";

  constructor(width: number, rows: Rows, form: "f32" | "q8" = "f32") {
    this.width = width;
    this.rows = rows;
    this.form = form;
  }

  whole(heads = 1): View {
    return { buffer: this, start: 0, width: this.width, heads };
  }
}

/** Matrices whose rows lie one below the other. */
export interface JoinedMatrix {
  readonly parts: readonly MatrixRef[];
  readonly rows: number;
}

/** An operation on views; the passes rewrite lists of them. */
export type Step = { readonly out: Buffer; readonly inputs: readonly View[] } & Operation;

export type Operation =
  | { readonly op: "embed"; readonly weight: MatrixRef; readonly scale: number }
  | { readonly op: "addPosition"; readonly weight: MatrixRef }
  | { readonly op: "ropeTable"; readonly rotary: Rotary }
  | { readonly op: "rmsNorm"; readonly weight: Tensor; readonly eps: number }
  | { readonly op: "layerNorm"; readonly weight: Tensor; readonly bias: Tensor; readonly eps: number }
  | { readonly op: "quantize"; readonly repeat: number }
  | {
      readonly op: "linear";
      readonly weight: JoinedMatrix;
      readonly biases: readonly Tensor[];
      /** Whether the second input is a residual to add. */
      readonly residual: boolean;
    }
  | { readonly op: "rope"; readonly rotary: Rotary }
  | { readonly op: "kvStore"; readonly layer: number }
  | {
      readonly op: "attention";
      readonly layer: number;
      readonly kvHeads: number;
      readonly scale: number;
      readonly window: number;
      readonly softcap: number;
    }
  | { readonly op: "add" }
  | { readonly op: "gated"; readonly activation: "silu" | "gelu"; readonly repeat: number }
  | { readonly op: "activate"; readonly activation: "silu" | "gelu"; readonly repeat: number }
  | { readonly op: "softcap"; readonly cap: number }
  | { readonly op: "gatherRows" }
  | { readonly op: "route"; readonly used: number; readonly normalize: boolean }
  | {
      readonly op: "expertLinear";
      readonly weight: MatrixRef;
      readonly used: number;
      readonly shared: boolean;
    }
  | { readonly op: "expertSum"; readonly used: number };

/** The steps in order, and what they are for. */
export interface Steps {
  readonly steps: readonly Step[];
  readonly logits: View;
}

/** One step per node; attention becomes a store and a read, and rotary angles are made once. */
export function lower(graph: Graph): Steps {
  const steps: Step[] = [];
  const buffers = new Map<Node, Buffer>();
  const tables = new Map<Rotary["frequencies"], Buffer>();
  const view = (value: Value): View => ({
    buffer: buffers.get(value.node)!,
    start: value.start,
    width: value.width,
    heads: value.headCount,
  });
  const tableOf = (rotary: Rotary): Buffer => {
    let table = tables.get(rotary.frequencies);
    if (!table) {
      table = new Buffer(rotary.frequencies.length * 2, "tokens");
      tables.set(rotary.frequencies, table);
      steps.unshift({ op: "ropeTable", out: table, inputs: [], rotary });
    }
    return table;
  };
  for (const node of graph.nodes) {
    const out = new Buffer(node.width, "tokens");
    buffers.set(node, out);
    const inputs = inputsOf(node).map(view);
    switch (node.op) {
      case "linear":
        steps.push({
          op: "linear",
          out,
          inputs,
          weight: { parts: [node.weight], rows: node.weight.rows },
          biases: node.bias ? [node.bias] : [],
          residual: false,
        });
        break;
      case "rope":
        steps.push({
          op: "rope",
          out,
          inputs: [inputs[0], tableOf(node.rotary).whole()],
          rotary: node.rotary,
        });
        break;
      case "attention": {
        const [q, k, v] = inputs;
        // The cache is written before it is read; nothing else reads the store's empty output.
        steps.push({ op: "kvStore", out: new Buffer(0, "tokens"), inputs: [k, v], layer: node.layer });
        const { layer, scale, window, softcap } = node;
        steps.push({ op: "attention", out, inputs: [q], layer, scale, window, softcap, kvHeads: k.heads });
        break;
      }
      case "gated":
        steps.push({ op: "gated", out, inputs, activation: node.activation, repeat: inputs[0].heads });
        break;
      case "activate":
        steps.push({ op: "activate", out, inputs, activation: node.activation, repeat: inputs[0].heads });
        break;
      case "expertLinear":
        steps.push({
          op: "expertLinear",
          out,
          inputs,
          weight: node.weight,
          used: node.used,
          shared: inputs[0].heads === 1 || node.used === 1,
        });
        break;
      case "expertSum":
        steps.push({ op: "expertSum", out, inputs, used: inputs[0].heads });
        break;
      default: {
        const { width: _width, ...operation } = node;
        steps.push({ ...(operation as Operation), out, inputs });
      }
    }
  }
  return { steps, logits: view(graph.logits) };
}
