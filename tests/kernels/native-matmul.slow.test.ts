import { describe, expect, test } from "vitest";
import { decodeIntegers, isIntegerType, newIntegerRow } from "../../src/bytes/integer-blocks.ts";
import { rowBytes, type TensorType, tensorTypes } from "../../src/bytes/types.ts";
import { type QuantizedRow, quantize } from "../../src/devices/reference/activations.ts";
import { RowReader } from "../../src/devices/reference/matrix.ts";
import {
  Harness,
  isInstalled,
  nameOf,
  type Product,
  packedTypes,
  runnableLevels,
  type Toolchain,
  toolchains,
} from "./native-matmul-harness.ts";

// Every kernel of every level against the reference, bit by bit. CLAVIS_NATIVE_TOOLCHAIN chooses how the kernels are
// built and run: "sanitized" adds AddressSanitizer and UndefinedBehaviorSanitizer; "aarch64", "neoverse-n1" and
// "cortex-a53" run them under qemu.

const toolchain: Toolchain =
  toolchains[(process.env.CLAVIS_NATIVE_TOOLCHAIN ?? "native") as keyof typeof toolchains];
const installed = isInstalled(toolchain);
const levels = installed ? runnableLevels(toolchain) : [];

/** Numbers that repeat, uniform in 0…2³². */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    // Source: xorshift32, Marsaglia 2003.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const typesWithMinima: ReadonlySet<TensorType> = new Set(["Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K"]);

/** Byte offsets of a type's f16 numbers in a block. */
const halvesAt: Partial<Record<TensorType, readonly number[]>> = {
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
  IQ4_NL: [0],
  IQ4_XS: [0],
  TQ2_0: [64],
};

interface Weights {
  /** Bytes of all fields but the f16 numbers; random where it is not given. */
  readonly byte?: number;
  /** The f16 numbers, in turn; random, infinities and NaN among them, where not given. */
  readonly halves?: readonly number[];
}

const usualHalves = [0x2c66, 0x9d10, 0x1234, 0xa7ff, 0x0007, 0x2000]; // 0.07, −0.005, 0.0008, −0.03, subnormal, 0.008

function weightsOf(type: TensorType, rows: number, k: number, seed: number, how: Weights): Uint8Array {
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
function activations(rows: number, k: number, seed: number): Float32Array {
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

function quantized(x: Float32Array, start: number, k: number): QuantizedRow {
  const row = {
    codes: new Int8Array(k),
    scales: new Float32Array(k / 32),
    sums: new Int32Array(k / 16),
  };
  quantize(x, start, k, row);
  return row;
}

/** The product as the reference computes it. */
function expected(p: Product): Float32Array {
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
function integerValues(type: TensorType, bytes: Uint8Array, count: number): Float32Array {
  const row = newIntegerRow(count);
  decodeIntegers(type, bytes, 0, count, row);
  const hasMinima = typesWithMinima.has(type);
  return Float32Array.from({ length: count }, (_, i) => {
    const value = Math.fround(row.d[i >> 5] * (row.scales[i >> 4] * row.codes[i] + 0));
    return hasMinima ? value - Math.fround(row.dmin[i >> 5] * row.mins[i >> 4]) : value;
  });
}

/** Rows of F32, F16 or BF16 as the reference reads them. */
function floatValues(type: TensorType, bytes: Uint8Array, rows: number, width: number): Float32Array {
  const reader = new RowReader({ type, bytes, rows, width });
  const values = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) values.set(reader.values(row), row * width);
  return values;
}

const floats = (bytes: Uint8Array) => new Float32Array(bytes.buffer);

/** Same bits; any NaN is as good as another. */
function expectSameBits(got: Float32Array, want: Float32Array, what: string): void {
  const gotBits = new Uint32Array(got.buffer, got.byteOffset, got.length);
  const wantBits = new Uint32Array(want.buffer, want.byteOffset, want.length);
  expect(got.length, what).toBe(want.length);
  for (let i = 0; i < got.length; i++) {
    if (gotBits[i] === wantBits[i] || (Number.isNaN(got[i]) && Number.isNaN(want[i]))) continue;
    expect.fail(`${what}, output ${i}: got ${got[i]}, want ${want[i]}`);
  }
}

/** Asks all levels for the products and compares each with the reference. */
function expectProducts(products: readonly Product[]): void {
  const harness = new Harness(toolchain);
  for (const product of products) for (const level of levels) harness.matmul(level, product);
  const answers = harness.run();
  products.forEach((product, i) => {
    const want = expected(product);
    levels.forEach((level, j) => {
      const what = `${level} ${product.type} rows ${product.rows} n ${product.n} k ${product.k}`;
      expectSameBits(floats(answers[i * levels.length + j]), want, what);
    });
  });
}

function product(
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
function widths(type: TensorType): readonly number[] {
  const { block } = tensorTypes[type];
  if (block === 1) return [1, 3, 15, 16, 17, 31, 32, 33, 47, 64, 100];
  return block === 32 ? [32, 64, 96, 128, 160, 352] : [256, 512, 768];
}

describe.skipIf(!installed)(`native matrix kernels (${toolchain.name})`, () => {
  test("a level that is asked for is the one that runs, and the best of them runs unasked", () => {
    const harness = new Harness(toolchain);
    harness.kernelName("");
    expect(nameOf(harness.run()[0])).toBe(levels.at(-1));
    expect(levels).toContain("portable");
    if (toolchain.runner.length > 0) expect(levels).toEqual(toolchain.levels);
  });

  describe.each(packedTypes)("%s", (type) => {
    const wide = widths(type).at(-1)!;

    test("agrees at widths around every edge", () => {
      expectProducts(widths(type).map((k) => product(type, 3, 18, k)));
    });

    test("agrees for 1…9, 17 and 64 rows", () => {
      expectProducts([1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 64].map((rows) => product(type, rows, 16, wide)));
    });

    test("agrees for columns around multiples of sixteen", () => {
      expectProducts([1, 7, 8, 9, 15, 16, 17, 31, 32, 33].map((n) => product(type, 5, n, widths(type)[2])));
    });

    test("agrees with bias, with a residual, with both, and in place", () => {
      const plain = product(type, 9, 37, wide);
      const bias = activations(1, plain.n, 3);
      const residual = activations(plain.rows, plain.n, 4);
      expectProducts([
        { ...plain, bias },
        { ...plain, residual },
        { ...plain, bias, residual },
        { ...plain, bias, residual, inPlace: true },
      ]);
    });

    test("writes the columns asked for and no others", () => {
      const plain = product(type, 9, 53, wide);
      expectProducts([
        { ...plain, first: 16, last: 32 },
        { ...plain, first: 32, last: 53 },
        { ...plain, first: 0, last: 16 },
      ]);
    });

    test("agrees for extreme codes and scales", () => {
      const halves = [0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff];
      expectProducts(
        [0x00, 0xff, 0x80, 0x7f, 0x55].flatMap((byte) => [
          product(type, 5, 17, wide, { byte, halves }),
          product(type, 1, 17, wide, { byte, halves }),
        ]),
      );
    });

    test("agrees for any bytes, infinite and NaN scales among them", () => {
      expectProducts([1, 2, 4, 9].map((rows) => product(type, rows, 64, wide, {})));
    });

    test("agrees for activations that are huge, tiny, infinite or NaN", () => {
      const plain = product(type, 8, 17, wide);
      for (let i = 0; i < plain.k; i++) {
        plain.x[i] *= 2 ** 110;
        plain.x[plain.k + i] *= 2 ** -125;
        plain.x[2 * plain.k + i] = 2 ** -149 * (i % 3);
        plain.x[3 * plain.k + i] = 1e-30;
      }
      plain.x[4 * plain.k + (plain.k >> 1)] = Number.NaN;
      plain.x[5 * plain.k] = Number.POSITIVE_INFINITY;
      plain.x[6 * plain.k + plain.k - 1] = Number.NEGATIVE_INFINITY;
      expectProducts([plain]);
    });

    test("a row alone gives the same bits as among 64", () => {
      const together = product(type, 64, 33, wide);
      const harness = new Harness(toolchain);
      for (const level of levels) {
        harness.matmul(level, together);
        for (const row of [0, 7, 8, 63]) {
          const x = together.x.subarray(row * together.k, (row + 1) * together.k);
          harness.matmul(level, { ...together, x, rows: 1 });
        }
      }
      const answers = harness.run();
      levels.forEach((level, i) => {
        const all = floats(answers[i * 5]);
        [0, 7, 8, 63].forEach((row, j) => {
          const want = all.slice(row * together.n, (row + 1) * together.n);
          expectSameBits(floats(answers[i * 5 + 1 + j]), want, `${level} row ${row}`);
        });
      });
    });

    test("gives rows back as they were", () => {
      const harness = new Harness(toolchain);
      const n = 21;
      const weights = [usualHalves, undefined].map((halves) => weightsOf(type, n, wide, 5, { halves }));
      for (const bytes of weights) for (const level of levels) harness.gather(level, type, bytes, n, wide);
      const answers = harness.run();
      weights.forEach((bytes, i) => {
        const want = isIntegerType(type)
          ? integerValues(type, bytes, n * wide)
          : floatValues(type, bytes, n, wide);
        levels.forEach((level, j) => {
          expectSameBits(floats(answers[i * levels.length + j]), want, level);
        });
      });
    });
  });

  test("activations are quantised as the reference does", () => {
    const k = 352;
    const rows = 12;
    const x = activations(rows, k, 11);
    for (let i = 0; i < k; i++) {
      x[i] = (i % 32) - 16 + (i % 2) / 2; // halves, which round to even
      x[k + i] *= 2 ** 120;
      x[2 * k + i] *= 2 ** -140;
      x[3 * k + i] = 1e-30 * (1 + (i % 3) * 2 ** -23);
      x[4 * k + i] = i % 2 ? -0 : 0;
    }
    x[5 * k + 40] = Number.NaN;
    x[6 * k + 41] = Number.NEGATIVE_INFINITY;
    const harness = new Harness(toolchain);
    for (const level of levels) harness.quantize(level, x, rows, k);
    harness.run().forEach((bytes, i) => {
      const step = k + (k / 32) * 12;
      for (let row = 0; row < rows; row++) {
        const want = quantized(x, row * k, k);
        const buffer = bytes.slice(row * step, (row + 1) * step).buffer;
        const what = `${levels[i]}, row ${row}`;
        expect(new Int8Array(buffer, 0, k), what).toEqual(want.codes);
        expectSameBits(new Float32Array(buffer, k, k / 32), want.scales, what);
        const sums = Array.from({ length: k / 32 }, (_, b) => 0 - (want.sums[2 * b] + want.sums[2 * b + 1]));
        expect([...new Int32Array(buffer, k + k / 8, k / 32)], what).toEqual(sums);
        expect([...new Int16Array(buffer, k + k / 4, k / 16)], what).toEqual(
          [...want.sums].map((s) => 0 - s),
        );
      }
    });
  });
});
