import type { Gguf, Tensor } from "../bytes/gguf.ts";
import { ClavisError } from "../errors.ts";
import { missingTensor, wrongShape } from "./errors.ts";
import { type ActivationName, type Graph, type MatrixRef, type Node, type Rotary, Value } from "./graph.ts";

/**
 * Writes down the graph of a model while the model's function runs.
 *
 * Tensors are looked up by name and their shapes checked as they are used, so a file that does not
 * fit its architecture is refused with the tensor's name, what it has and what was expected.
 */
export class Tracer {
  readonly #tensors: Gguf["tensors"];
  readonly #nodes: Node[] = [];
  readonly #used = new Set<string>();
  #layers = 0;
  #cache: { kvHeads: number; headWidth: number } | undefined;

  constructor(tensors: Gguf["tensors"]) {
    this.#tensors = tensors;
  }

  has(name: string): boolean {
    return this.#tensors.has(`${name}.weight`);
  }

  /** The first of the names that the file has: a head of its own, or the embedding used twice. */
  firstOf(...names: string[]): string {
    return names.find((name) => this.has(name)) ?? names[0];
  }

  /** Rows of the embedding table: [T] ids → [T, D]. The table is [V, D]. */
  embed(name: string, width: number, vocabulary: number, scale = 1): Value {
    const weight = this.#matrix(name, width, vocabulary);
    return this.#add({ op: "embed", width, weight, scale });
  }

  addPosition(x: Value, name: string, positions: number): Value {
    return this.#add({
      op: "addPosition",
      width: x.width,
      x,
      weight: this.#matrix(name, x.width, positions),
    });
  }

  /** Each head of x (or the whole row) divided by its root mean square, times the weight. */
  rmsNorm(x: Value, name: string, eps: number): Value {
    const weight = this.#vector(`${name}.weight`, x.headWidth);
    return this.#add({ op: "rmsNorm", width: x.width, x, weight, eps }).heads(x.headCount, x.headWidth);
  }

  layerNorm(x: Value, name: string, eps: number): Value {
    const weight = this.#vector(`${name}.weight`, x.width);
    const bias = this.#vector(`${name}.bias`, x.width);
    return this.#add({ op: "layerNorm", width: x.width, x, weight, bias, eps });
  }

  /**
   * x · weightᵀ, [T, K] → [T, rows]; plus the bias, where the file has one.
   * With `bias: "required"` a file without it is refused.
   */
  linear(x: Value, name: string, rows: number, options: { bias?: "required" } = {}): Value {
    const weight = this.#matrix(name, x.width, rows);
    const biasName = `${name}.bias`;
    const hasBias = options.bias === "required" || this.#tensors.has(biasName);
    const bias = hasBias ? this.#vector(biasName, rows) : undefined;
    return this.#add({ op: "linear", width: rows, x, weight, bias });
  }

  rope(x: Value, rotary: Rotary): Value {
    return this.#add({ op: "rope", width: x.width, x, rotary }).heads(x.headCount, x.headWidth);
  }

  /** Attention of the next layer in order: q [T, H, E], k and v [T, G, E] → [T, H · E]. */
  attention(
    q: Value,
    k: Value,
    v: Value,
    options: { scale?: number; window?: number; softcap?: number } = {},
  ): Value {
    const { scale = 1 / Math.sqrt(k.headWidth), window = 0, softcap = 0 } = options;
    this.#cache ??= { kvHeads: k.headCount, headWidth: k.headWidth };
    if (k.headCount !== this.#cache.kvHeads || k.headWidth !== this.#cache.headWidth || v.width !== k.width) {
      throw new RangeError("layers with key-value heads of different shapes");
    }
    const layer = this.#layers++;
    return this.#add({ op: "attention", width: q.width, q, k, v, layer, scale, window, softcap });
  }

  add(x: Value, y: Value): Value {
    return this.#add({ op: "add", width: x.width, x, y });
  }

  /** silu(gate) · up (Shazeer 2020, arXiv:2002.05202). */
  swiglu(gate: Value, up: Value): Value {
    return this.#gated(gate, up, "silu");
  }

  /** gelu(gate) · up (Shazeer 2020, arXiv:2002.05202), gelu in its tanh form. */
  geglu(gate: Value, up: Value): Value {
    return this.#gated(gate, up, "gelu");
  }

  #gated(gate: Value, up: Value, activation: ActivationName): Value {
    return this.#add({ op: "gated", width: gate.width, gate, up, activation }).heads(
      gate.headCount,
      gate.headWidth,
    );
  }

  gelu(x: Value): Value {
    return this.#add({ op: "activate", width: x.width, x, activation: "gelu" });
  }

  softcap(x: Value, cap: number): Value {
    return this.#add({ op: "softcap", width: x.width, x, cap });
  }

  /** The `used` likeliest of the router's logits [T, experts], and their probabilities. */
  route(x: Value, used: number, options: { normalize: boolean }): Value {
    return this.#add({ op: "route", width: 2 * used, x, used, normalize: options.normalize });
  }

  /** Each chosen expert's x · weightᵀ: x [T, K] for all, or [T, used, K] → [T, used, rows]. */
  expertLinear(x: Value, routes: Value, name: string, rows: number, experts: number): Value {
    const used = routes.width / 2;
    const weight = this.#matrix(name, x.headWidth, rows, experts);
    return this.#add({ op: "expertLinear", width: used * rows, x, routes, weight, used }).heads(used, rows);
  }

  expertSum(x: Value, routes: Value): Value {
    return this.#add({ op: "expertSum", width: x.headWidth, x, routes });
  }

  /** The graph whose result is `logits`, after a check that every tensor of the file was used. */
  finish(logits: Value, ignored: RegExp): Graph {
    for (const name of this.#tensors.keys()) {
      if (!this.#used.has(name) && !ignored.test(name)) {
        throw new ClavisError("model.tensor_unused", {
          found: `a tensor "${name}" that this architecture has no place for`,
          expected: "every tensor of the file to take part",
          next: "The file is of a variant that is not supported; its answers would be wrong.",
        });
      }
    }
    if (!this.#cache) throw new RangeError("a model without attention");
    return {
      nodes: this.#nodes,
      logits,
      layers: this.#layers,
      ...this.#cache,
      vocabulary: logits.width,
    };
  }

  #add(node: Node): Value {
    this.#nodes.push(node);
    return new Value(node);
  }

  #tensor(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw missingTensor(name);
    this.#used.add(name);
    return tensor;
  }

  #vector(name: string, length: number): Tensor {
    const tensor = this.#tensor(name);
    if (tensor.values !== length || tensor.shape[0] !== length) throw wrongShape(tensor, [length]);
    if (!["F32", "F16", "BF16"].includes(tensor.type)) {
      throw new ClavisError("model.tensor_type", {
        found: `"${name}" of type ${tensor.type}`,
        expected: "a vector of F32, F16 or BF16",
        next: "Convert the model again; norms and biases are not quantised.",
      });
    }
    return tensor;
  }

  #matrix(name: string, width: number, rows: number, experts = 1): MatrixRef {
    const tensor = this.#tensor(`${name}.weight`);
    const expected = experts === 1 ? [width, rows] : [width, rows, experts];
    const shape = [...tensor.shape];
    while (shape.length > expected.length && shape.at(-1) === 1) shape.pop();
    while (shape.length < expected.length) shape.push(1);
    if (shape.length !== expected.length || shape.some((size, i) => size !== expected[i])) {
      throw wrongShape(tensor, expected);
    }
    if (["F64", "I8", "I16", "I32", "I64"].includes(tensor.type)) {
      throw new ClavisError("model.tensor_type", {
        found: `"${tensor.name}" of type ${tensor.type}`,
        expected: "a matrix of a float or block type",
        next: "Convert the model again with weights of F32, F16, BF16 or a quantised type.",
      });
    }
    return { tensor, width, rows, experts };
  }
}
