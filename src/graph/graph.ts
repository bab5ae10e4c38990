import type { Tensor } from "../bytes/gguf.ts";

/**
 * The graph: the mathematics of one step of a model, which knows no device.
 *
 * Every node makes one row of f32 values per token; T, the number of tokens, is a symbol. A `Value`
 * is a range of columns of a node's rows, seen as `heads` neighbours of equal width.
 */
export class Value {
  readonly node: Node;
  /** First column, and number of columns. */
  readonly start: number;
  readonly width: number;
  /** How many equal parts the columns fall into; 1 for a plain row. */
  readonly headCount: number;

  constructor(node: Node, start = 0, width = node.width, headCount = 1) {
    this.node = node;
    this.start = start;
    this.width = width;
    this.headCount = headCount;
  }

  /** The same columns, seen as `count` heads of `width` values: [T, count · width] → [T, count, width]. */
  heads(count: number, width: number): Value {
    if (count * width !== this.width) {
      throw new RangeError(`${this.width} columns are not ${count} heads of ${width}`);
    }
    return new Value(this.node, this.start, this.width, count);
  }

  /** Columns start…start+width of this value: [T, D] → [T, width]. */
  columns(start: number, width: number): Value {
    if (start < 0 || start + width > this.width) {
      throw new RangeError(`columns ${start}…${start + width} of ${this.width}`);
    }
    return new Value(this.node, this.start + start, width);
  }

  get headWidth(): number {
    return this.width / this.headCount;
  }
}

/** A weight as a node names it. `rows` × `width`, or `rows` alone for vectors. */
export interface MatrixRef {
  readonly tensor: Tensor;
  readonly rows: number;
  readonly width: number;
  readonly experts: number;
}

interface NodeOf<Op extends string> {
  readonly op: Op;
  /** Columns of the output. */
  readonly width: number;
}

/** Input tokens' rows of a table, times `scale`. */
export interface Embed extends NodeOf<"embed"> {
  readonly weight: MatrixRef;
  readonly scale: number;
}
/** x plus the table's row of each token's position. */
export interface AddPosition extends NodeOf<"addPosition"> {
  readonly x: Value;
  readonly weight: MatrixRef;
}
/** x / rms(x) · weight, for each head of x. */
export interface RmsNorm extends NodeOf<"rmsNorm"> {
  readonly x: Value;
  readonly weight: Tensor;
  readonly eps: number;
}
/** (x − mean) / deviation · weight + bias. */
export interface LayerNorm extends NodeOf<"layerNorm"> {
  readonly x: Value;
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly eps: number;
}
/** x · weightᵀ, plus bias. */
export interface Linear extends NodeOf<"linear"> {
  readonly x: Value;
  readonly weight: MatrixRef;
  readonly bias?: Tensor;
}
/** Which rotary angles: radians per position of each pair, and a factor on cos and sin. */
export interface Rotary {
  readonly name: string;
  readonly frequencies: Float64Array;
  readonly magnitude: number;
  readonly style: "adjacent" | "halves";
}
/** Each head of x rotated by its token's position. */
export interface Rope extends NodeOf<"rope"> {
  readonly x: Value;
  readonly rotary: Rotary;
}
/** Softmax attention of q over this and earlier positions of the layer's k and v. */
export interface Attention extends NodeOf<"attention"> {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  readonly layer: number;
  readonly scale: number;
  /** Visible positions, the token's own included; 0 for all. */
  readonly window: number;
  /** Scores pass through cap · tanh(score / cap); 0 for none. */
  readonly softcap: number;
}
export interface Add extends NodeOf<"add"> {
  readonly x: Value;
  readonly y: Value;
}
export type ActivationName = "silu" | "gelu";
/** f(gate) · up. `repeat` rows per token. */
export interface Gated extends NodeOf<"gated"> {
  readonly gate: Value;
  readonly up: Value;
  readonly activation: ActivationName;
}
export interface Activate extends NodeOf<"activate"> {
  readonly x: Value;
  readonly activation: ActivationName;
}
export interface Softcap extends NodeOf<"softcap"> {
  readonly x: Value;
  readonly cap: number;
}
/** The `used` likeliest experts of router logits x and their probabilities. */
export interface Route extends NodeOf<"route"> {
  readonly x: Value;
  readonly used: number;
  readonly normalize: boolean;
}
/** x · weightᵀ of each chosen expert: [T, width] or [T, used, width] → [T, used, rows]. */
export interface ExpertLinear extends NodeOf<"expertLinear"> {
  readonly x: Value;
  readonly routes: Value;
  readonly weight: MatrixRef;
  readonly used: number;
}
/** Experts' outputs weighted by their probabilities: [T, used, D] → [T, D]. */
export interface ExpertSum extends NodeOf<"expertSum"> {
  readonly x: Value;
  readonly routes: Value;
}

export type Node =
  | Embed
  | AddPosition
  | RmsNorm
  | LayerNorm
  | Linear
  | Rope
  | Attention
  | Add
  | Gated
  | Activate
  | Softcap
  | Route
  | ExpertLinear
  | ExpertSum;

/** What a node reads, in a fixed order. */
export function inputsOf(node: Node): readonly Value[] {
  switch (node.op) {
    case "embed":
      return [];
    case "attention":
      return [node.q, node.k, node.v];
    case "add":
      return [node.x, node.y];
    case "gated":
      return [node.gate, node.up];
    case "expertLinear":
    case "expertSum":
      return [node.x, node.routes];
    default:
      return [node.x];
  }
}

/** One step of a model: nodes in the order of computation, the last value being the logits [T, V]. */
export interface Graph {
  readonly nodes: readonly Node[];
  readonly logits: Value;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly vocabulary: number;
}
