import type { Plan } from "../../plan/plan.ts";
import {
  bitsFloat,
  common,
  functionOf,
  type OpName,
  ops,
  ropeStyle,
  rowsOf,
  tapeWords,
  wordOf,
} from "../../plan/tape.ts";
import type { Batch } from "../device.ts";
import { quantize, quantizedRow } from "./activations.ts";
import type { Cache } from "./cache.ts";
import { dot16, exp, f32, gelu, rotation, silu, softcap, sum16 } from "./math.ts";
import { activationRow, type Matrix, RowReader } from "./matrix.ts";

/** A weight in the memory of this device. */
export type Held = { matrix: Matrix } | { vector: Float32Array } | { frequencies: Float64Array };

const opNames = new Map<number, OpName>(Object.entries(ops).map(([name, { id }]) => [id, name as OpName]));

/** Runs tapes call by call and value by value: the numerics contract as a program. */
export class Interpreter {
  readonly #plan: Plan;
  readonly #weights: readonly Held[];
  readonly #cache: Cache;
  readonly #arena: ArrayBuffer;
  readonly #f32: Float32Array;
  readonly #i32: Int32Array;

  constructor(plan: Plan, weights: readonly Held[], cache: Cache) {
    this.#plan = plan;
    this.#weights = weights;
    this.#cache = cache;
    this.#arena = new ArrayBuffer(Math.ceil(plan.arenaBytes / 64) * 64);
    this.#f32 = new Float32Array(this.#arena);
    this.#i32 = new Int32Array(this.#arena);
  }

  /** One step; the logits [R · V] in memory of their own. */
  run(batch: Batch): Float32Array {
    const { tape, logits, logitsStride, vocabulary } = this.#plan;
    for (let at = 0; at < tape.length; at += tapeWords) this.#call(tape.subarray(at, at + tapeWords), batch);
    const result = new Float32Array(batch.wanted.length * vocabulary);
    for (let r = 0; r < batch.wanted.length; r++) {
      result.set(new Float32Array(this.#arena, logits + r * logitsStride, vocabulary), r * vocabulary);
    }
    return result;
  }

  #call(call: Int32Array, batch: Batch): void {
    const name = opNames.get(call[common.op])!;
    const rows = call[common.rows] === rowsOf.wanted ? batch.wanted.length : batch.tokens.length;
    const [out, outStride] = [call[common.out], call[common.outStride]];
    const [a, aStride] = [call[common.a], call[common.aStride]];
    const [b, bStride] = [call[common.b], call[common.bStride]];
    // Rows as views; `n` values of f32.
    const outRow = (row: number, n: number) => new Float32Array(this.#arena, out + row * outStride, n);
    const aRow = (row: number, n: number) => new Float32Array(this.#arena, a + row * aStride, n);
    const bRow = (row: number, n: number) => new Float32Array(this.#arena, b + row * bStride, n);
    /** Writes a computed row in the form that the call asks for. */
    const write = (row: number, values: Float32Array, form: number) => {
      if (form === 0) outRow(row, values.length).set(values);
      else
        quantize(values, 0, values.length, quantizedRow(this.#arena, out + row * outStride, values.length));
    };

    switch (name) {
      case "embed": {
        const word = wordsOf(call, name);
        const reader = new RowReader(this.#matrix(word("weight")));
        const scale = bitsFloat(word("scaleBits"));
        for (let t = 0; t < rows; t++) {
          outRow(t, word("n")).set(reader.values(batch.tokens[t]).map((v) => f32(v * scale)));
        }
        break;
      }
      case "addPosition": {
        const word = wordsOf(call, name);
        const reader = new RowReader(this.#matrix(word("weight")));
        for (let t = 0; t < rows; t++) {
          const x = aRow(t, word("n"));
          outRow(t, word("n")).set(reader.values(batch.positions[t]).map((v, i) => f32(x[i] + v)));
        }
        break;
      }
      case "ropeTable": {
        const word = wordsOf(call, name);
        const frequencies = this.#frequencies(word("weight"));
        const magnitude = bitsFloat(word("magnitudeBits"));
        for (let t = 0; t < rows; t++) {
          const table = outRow(t, word("n"));
          frequencies.forEach((frequency, i) => {
            const [cos, sin] = rotation(batch.positions[t], frequency);
            table[2 * i] = f32(cos * magnitude);
            table[2 * i + 1] = f32(sin * magnitude);
          });
        }
        break;
      }
      case "rmsNorm": {
        const word = wordsOf(call, name);
        const [n, groups, eps] = [word("n"), word("groups"), bitsFloat(word("epsBits"))];
        const weight = this.#vector(word("weight"));
        for (let row = 0; row < rows; row++) {
          const x = aRow(row, n * groups);
          const y = new Float32Array(n * groups);
          for (let start = 0; start < n * groups; start += n) {
            const r = f32(1 / f32(Math.sqrt(f32(f32(dot16(x, start, x, start, n) / n) + eps))));
            for (let i = 0; i < n; i++) y[start + i] = f32(f32(x[start + i] * r) * weight[i]);
          }
          write(row, y, word("form"));
        }
        break;
      }
      case "layerNorm": {
        const word = wordsOf(call, name);
        const [n, eps] = [word("n"), bitsFloat(word("epsBits"))];
        const [weight, bias] = [this.#vector(word("weight")), this.#vector(word("bias"))];
        for (let row = 0; row < rows; row++) {
          const x = aRow(row, n);
          const mean = f32(sum16(x, 0, n) / n);
          const c = x.map((v) => v - mean);
          const r = f32(1 / f32(Math.sqrt(f32(f32(dot16(c, 0, c, 0, n) / n) + eps))));
          write(
            row,
            c.map((v, i) => f32(f32(f32(v * r) * weight[i]) + bias[i])),
            word("form"),
          );
        }
        break;
      }
      case "quantize": {
        const word = wordsOf(call, name);
        for (let row = 0; row < rows * word("repeat"); row++) write(row, aRow(row, word("n")), 1);
        break;
      }
      case "matmul": {
        const word = wordsOf(call, name);
        const [n, k] = [word("n"), word("k")];
        const matrix = this.#matrix(word("weight"));
        const reader = new RowReader(matrix);
        const bias = word("bias") >= 0 ? this.#vector(word("bias")) : undefined;
        const inputs = Array.from({ length: rows }, (_, row) =>
          activationRow(matrix.type, this.#arena, a + row * aStride, k),
        );
        for (let column = 0; column < n; column++) {
          for (let row = 0; row < rows; row++) {
            let y = reader.dot(column, inputs[row]);
            if (bias) y = f32(y + bias[column]);
            if (b >= 0) y = f32(this.#f32[(b + row * bStride) / 4 + column] + y);
            this.#f32[(out + row * outStride) / 4 + column] = y;
          }
        }
        break;
      }
      case "rope": {
        const word = wordsOf(call, name);
        const [n, rotated, style] = [word("n"), word("rotated"), word("style")];
        for (let row = 0; row < rows; row++) {
          const table = bRow(row, rotated);
          const width = n * word("heads");
          const x = aRow(row, width);
          const y = x.slice();
          for (let start = 0; start < width; start += n) {
            for (let i = 0; i < rotated / 2; i++) {
              const [first, second] =
                style === ropeStyle.adjacent
                  ? [start + 2 * i, start + 2 * i + 1]
                  : [start + i, start + i + rotated / 2];
              const [cos, sin] = [table[2 * i], table[2 * i + 1]];
              y[first] = f32(f32(x[first] * cos) - f32(x[second] * sin));
              y[second] = f32(f32(x[first] * sin) + f32(x[second] * cos));
            }
          }
          outRow(row, width).set(y);
        }
        break;
      }
      case "kvStore": {
        const word = wordsOf(call, name);
        const n = word("n");
        for (let t = 0; t < rows; t++) {
          const pages = batch.pageTables[batch.slots[t]];
          for (let head = 0; head < word("heads"); head++) {
            const at = this.#cache.at(word("layer"), pages, batch.positions[t], head);
            const key = new Float32Array(this.#arena, a + t * aStride + head * n * 4, n);
            this.#cache.store(at, key, new Float32Array(this.#arena, b + t * bStride + head * n * 4, n));
          }
        }
        break;
      }
      case "attention": {
        const word = wordsOf(call, name);
        const [n, heads, window] = [word("n"), word("heads"), word("window")];
        const group = heads / word("kvHeads");
        const [scale, cap] = [bitsFloat(word("scaleBits")), bitsFloat(word("softcapBits"))];
        const { keys, values } = this.#cache;
        for (let t = 0; t < rows; t++) {
          const pages = batch.pageTables[batch.slots[t]];
          const last = batch.positions[t];
          const first = window > 0 ? Math.max(0, last - window + 1) : 0;
          const p = new Float32Array(last - first + 1);
          for (let head = 0; head < heads; head++) {
            const where = (i: number) =>
              this.#cache.at(word("layer"), pages, first + i, Math.floor(head / group));
            const q = new Float32Array(this.#arena, a + t * aStride + head * n * 4, n);
            let largest = -Infinity;
            for (let i = 0; i < p.length; i++) {
              const score = f32(dot16(q, 0, keys, where(i), n) * scale);
              p[i] = cap > 0 ? softcap(score, cap) : score;
              largest = Math.max(largest, p[i]);
            }
            for (let i = 0; i < p.length; i++) p[i] = exp(f32(p[i] - largest));
            const inverse = f32(1 / sum16(p, 0, p.length));
            const mixed = new Float32Array(n);
            for (let i = 0; i < p.length; i++) {
              const at = where(i);
              for (let e = 0; e < n; e++) mixed[e] = mixed[e] + f32(p[i] * values[at + e]);
            }
            const target = new Float32Array(this.#arena, out + t * outStride + head * n * 4, n);
            target.set(mixed.map((v) => v * inverse));
          }
        }
        break;
      }
      case "add": {
        const word = wordsOf(call, name);
        for (let row = 0; row < rows; row++) {
          const y = bRow(row, word("n"));
          outRow(row, word("n")).set(aRow(row, word("n")).map((v, i) => v + y[i]));
        }
        break;
      }
      case "gated": {
        const word = wordsOf(call, name);
        const f = functionFor(word("function"));
        for (let row = 0; row < rows * word("repeat"); row++) {
          const up = bRow(row, word("n"));
          write(
            row,
            aRow(row, word("n")).map((gate, i) => f32(f(gate) * up[i])),
            word("form"),
          );
        }
        break;
      }
      case "activate": {
        const word = wordsOf(call, name);
        const f = functionFor(word("function"));
        for (let row = 0; row < rows * word("repeat"); row++)
          write(row, aRow(row, word("n")).map(f), word("form"));
        break;
      }
      case "softcap": {
        const word = wordsOf(call, name);
        const cap = bitsFloat(word("capBits"));
        for (let row = 0; row < rows; row++) {
          outRow(row, word("n")).set(aRow(row, word("n")).map((v) => softcap(v, cap)));
        }
        break;
      }
      case "gatherRows": {
        const word = wordsOf(call, name);
        for (let row = 0; row < rows; row++) outRow(row, word("n")).set(aRow(batch.wanted[row], word("n")));
        break;
      }
      case "route": {
        const word = wordsOf(call, name);
        for (let row = 0; row < rows; row++) {
          const at = (out + row * outStride) / 4;
          this.#route(aRow(row, word("n")), at, word("used"), word("normalize") === 1);
        }
        break;
      }
      case "expertMatmul": {
        const word = wordsOf(call, name);
        const [n, k, used] = [word("n"), word("k"), word("used")];
        const matrix = this.#matrix(word("weight"));
        const reader = new RowReader(matrix);
        for (let row = 0; row < rows * used; row++) {
          const t = Math.floor(row / used);
          const expert = this.#i32[(b + t * bStride) / 4 + (row % used)];
          const input = word("shared") === 1 ? t : row;
          const x = activationRow(matrix.type, this.#arena, a + input * aStride, k);
          const y = outRow(row, n);
          for (let column = 0; column < n; column++) y[column] = reader.dot(expert * n + column, x);
        }
        break;
      }
      case "expertSum": {
        const word = wordsOf(call, name);
        const [n, used] = [word("n"), word("used")];
        for (let t = 0; t < rows; t++) {
          const sum = new Float32Array(n);
          for (let j = 0; j < used; j++) {
            const probability = this.#f32[(b + t * bStride) / 4 + used + j];
            const y = aRow(t * used + j, n);
            for (let i = 0; i < n; i++) sum[i] = sum[i] + f32(probability * y[i]);
          }
          outRow(t, n).set(sum);
        }
        break;
      }
    }
  }

  /** The `used` likeliest of softmax(x): ids at word `at`, then probabilities. */
  #route(x: Float32Array, at: number, used: number, normalize: boolean): void {
    const largest = x.reduce((most, v) => Math.max(most, v), -Infinity);
    const p = x.map((v) => exp(f32(v - largest)));
    const inverse = f32(1 / sum16(p, 0, p.length));
    const order = Array.from(p, (v, id) => ({ id, p: f32(v * inverse) }));
    order.sort((one, other) => other.p - one.p || one.id - other.id);
    let sum = 0;
    for (let j = 0; j < used; j++) sum = f32(sum + order[j].p);
    for (let j = 0; j < used; j++) {
      this.#i32[at + j] = order[j].id;
      this.#f32[at + used + j] = normalize ? f32(order[j].p / sum) : order[j].p;
    }
  }

  #matrix(index: number): Matrix {
    return (this.#weights[index] as { matrix: Matrix }).matrix;
  }

  #vector(index: number): Float32Array {
    return (this.#weights[index] as { vector: Float32Array }).vector;
  }

  #frequencies(index: number): Float64Array {
    return (this.#weights[index] as { frequencies: Float64Array }).frequencies;
  }
}

/** Reads a call's named words. */
function wordsOf<O extends OpName>(
  call: Int32Array,
  op: O,
): (name: (typeof ops)[O]["words"][number]) => number {
  return (name) => call[wordOf(op, name)];
}

function functionFor(id: number): (x: number) => number {
  return id === functionOf.silu ? silu : gelu;
}
