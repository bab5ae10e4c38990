import { expect } from "vitest";
import { decodeIntegers, isIntegerType, newIntegerRow } from "../../src/bytes/integer-blocks.ts";
import { rowBytes, type TensorType, tensorTypes } from "../../src/bytes/types.ts";
import { type QuantizedRow, quantize } from "../../src/devices/reference/activations.ts";
import { RowReader } from "../../src/devices/reference/matrix.ts";
import type { Product } from "./native-matmul-harness.ts";

// Products around every edge, with weights and activations of many kinds, and what the reference makes of them.

/** Numbers that repeat, uniform in 0…2³². */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    // Source: xorshift32, Marsaglia 2003.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

export const typesWithMinima: ReadonlySet<TensorType> = new Set(["Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K"]);

/** Byte offsets of a type's f16 numbers in a block. Source: ggml's block layouts, as in src/bytes/layouts/. */
export const halvesAt: Partial<Record<TensorType, readonly number[]>> = {
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q8_0: [0],
  Q2_K: [80, 82],
  Q3_K: [108],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
  IQ2_XXS: [0],
  IQ2_XS: [0],
  IQ2_S: [0],
  IQ3_XXS: [0],
  IQ3_S: [0],
  IQ4_NL: [0],
  IQ4_XS: [0],
  TQ2_0: [64],
};

export interface Weights {
  /** Bytes of all fields but the f16 numbers; random where it is not given. */
  readonly byte?: number;
  /** The f16 numbers, in turn; random, infinities and NaN among them, where not given. */
  readonly halves?: readonly number[];
}

export const usualHalves = [0x2c66, 0x9d10, 0x1234, 0xa7ff, 0x0007, 0x2000]; // 0.07, −0.005, 0.0008, −0.03, subnormal, 0.008

export function weightsOf(type: TensorType, rows: number, k: number, seed: number, how: Weights): Uint8Array {
  const bytes = new Uint8Array(rows * rowBytes(type, k));
  const next = random(seed);
  for (let i = 0; i < bytes.length; i++) bytes[i] = how.byte ?? next() >>> 24;
  const step = tensorTypes[type].bytes;
  let turn = 0;
  for (let at = 0; how.halves && at < bytes.length; at += step) {
    for (const field of halvesAt[type] ?? []) {
      const half = how.halves[turn++ % how.halves.length];
      bytes[at + field] = half;
      bytes[at + field + 1] = half >> 8;
    }
    // A scale of its own form: 2^-8, or the ends of its range.
    if (type === "MXFP4" && how.byte === undefined) bytes[at] = [120, 0, 1, 2, 255, 254][turn++ % 6];
    if (type === "F32") bytes[at + 3] = 0x3d + (bytes[at + 3] & 0x82);
    if (type === "BF16") bytes[at + 1] = 0x3d + (bytes[at + 1] & 0x82);
  }
  return bytes;
}

/** [rows · k] activations of many kinds: rows differ in size, blocks in shape. */
export function activations(rows: number, k: number, seed: number): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: rows * k }, (_, i) => {
    const uniform = next() / 2 ** 31 - 1;
    const block = (i >> 5) % 7;
    if (block === 0) return 1.5; // all equal
    if (block === 1) return i % 2 ? -0.75 : 0.75; // alternating
    if (block === 2) return i % 32 === 5 ? 300 * uniform : uniform / 100; // an outlier
    if (block === 3) return 0;
    return uniform * 2 ** (Math.floor(i / k) % 5);
  });
}

export function quantized(x: Float32Array, start: number, k: number): QuantizedRow {
  const row = {
    codes: new Int8Array(k),
    scales: new Float32Array(k / 32),
    sums: new Int32Array(k / 16),
  };
  quantize(x, start, k, row);
  return row;
}

/** The product as the reference computes it. */
export function expected(p: Product): Float32Array {
  const reader = new RowReader({ type: p.type, bytes: p.weights, rows: p.n, width: p.k });
  const out = new Float32Array(p.rows * p.n).fill(-7);
  for (let row = 0; row < p.rows; row++) {
    const x = isIntegerType(p.type) ? quantized(p.x, row * p.k, p.k) : undefined;
    for (let column = p.first ?? 0; column < (p.last ?? p.n); column++) {
      let value = reader.dot(column, x ?? p.x.subarray(row * p.k, (row + 1) * p.k));
      if (p.bias) value = Math.fround(value + p.bias[column]);
      if (p.residual) value = Math.fround(p.residual[row * p.n + column] + value);
      out[row * p.n + column] = value;
    }
  }
  return out;
}

/** d · f32(scale · code) − dmin · f32(min), where scale · code is a whole number, so never −0. */
export function integerValues(type: TensorType, bytes: Uint8Array, count: number): Float32Array {
  const row = newIntegerRow(count);
  decodeIntegers(type, bytes, 0, count, row);
  const hasMinima = typesWithMinima.has(type);
  return Float32Array.from({ length: count }, (_, i) => {
    const value = Math.fround(row.d[i >> 5] * (row.scales[i >> 4] * row.codes[i] + 0));
    return hasMinima ? value - Math.fround(row.dmin[i >> 5] * row.mins[i >> 4]) : value;
  });
}

/** Rows of F32, F16 or BF16 as the reference reads them. */
export function floatValues(type: TensorType, bytes: Uint8Array, rows: number, width: number): Float32Array {
  const reader = new RowReader({ type, bytes, rows, width });
  const values = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) values.set(reader.values(row), row * width);
  return values;
}

export const floats = (bytes: Uint8Array) => new Float32Array(bytes.buffer);

/** Same bits; any NaN is as good as another. */
export function expectSameBits(got: Float32Array, want: Float32Array, what: string): void {
  const gotBits = new Uint32Array(got.buffer, got.byteOffset, got.length);
  const wantBits = new Uint32Array(want.buffer, want.byteOffset, want.length);
  expect(got.length, what).toBe(want.length);
  for (let i = 0; i < got.length; i++) {
    if (gotBits[i] === wantBits[i] || (Number.isNaN(got[i]) && Number.isNaN(want[i]))) continue;
    expect.fail(`${what}, output ${i}: got ${got[i]}, want ${want[i]}`);
  }
}

export function product(
  type: TensorType,
  rows: number,
  n: number,
  k: number,
  how: Weights = { halves: usualHalves },
) {
  const seed = rows * 7919 + n * 104729 + k + 1;
  const weights = weightsOf(type, n, k, seed, how);
  return { type, weights, x: activations(rows, k, seed + 1), rows, n, k } satisfies Product;
}

/** Widths around the edges of a type's kernels. */
export function widths(type: TensorType): readonly number[] {
  const { block } = tensorTypes[type];
  if (block === 1) return [1, 3, 15, 16, 17, 31, 32, 33, 47, 64, 100];
  return block === 32 ? [32, 64, 96, 128, 160, 352] : [256, 512, 768];
}

/** The product with a bias, with a residual, with both, and in place. */
export function withBiasAndResidual(plain: Product): Product[] {
  const bias = activations(1, plain.n, 3);
  const residual = activations(plain.rows, plain.n, 4);
  return [
    { ...plain, bias },
    { ...plain, residual },
    { ...plain, bias, residual },
    { ...plain, bias, residual, inPlace: true },
  ];
}
