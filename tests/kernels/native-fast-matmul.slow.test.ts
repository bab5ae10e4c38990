import { describe, expect, test } from "vitest";
import { decodeIntegers, isIntegerType, newIntegerRow } from "../../src/bytes/integer-blocks.ts";
import type { TensorType } from "../../src/bytes/types.ts";
import {
  product as anyProduct,
  expected,
  expectSameBits,
  floats,
  floatValues,
  quantized,
  withBiasAndResidual,
} from "./native-matmul-cases.ts";
import {
  Harness,
  isInstalled,
  manyRowLevels,
  type Product,
  packedTypes,
  type Toolchain,
  toolchains,
} from "./native-matmul-harness.ts";

// The products of fast mode against the reference, within the bound of docs/numerics.md. AMX runs as such where this
// machine has it, and in any case as a model of its instructions, with all that is around them.

const toolchain: Toolchain =
  toolchains[(process.env.CLAVIS_NATIVE_TOOLCHAIN ?? "native") as keyof typeof toolchains];
const installed = isInstalled(toolchain);

/**
 * A product whose weights are all within the range of f32: MXFP4's largest scales go beyond it, and F16's highest
 * exponent is that of infinities and NaN, which are outside of the contract.
 */
function product(...how: Parameters<typeof anyProduct>): Product {
  const made = anyProduct(...how);
  if (made.type === "MXFP4") {
    for (let at = 0; at < made.weights.length; at += 17) made.weights[at] = Math.min(made.weights[at], 240);
  }
  if (made.type === "F16") {
    for (let at = 1; at < made.weights.length; at += 2) {
      if ((made.weights[at] & 0x7c) === 0x7c) made.weights[at] ^= 0x04;
    }
  }
  return made;
}

/** What one weight is made of: its value, and the sum of the magnitudes of what it is the difference of. */
interface Values {
  readonly value: Float64Array;
  readonly parts: Float64Array;
}

function weightValues({ type, weights, n, k }: Product): Values {
  const value = new Float64Array(n * k);
  const parts = new Float64Array(n * k);
  if (!isIntegerType(type)) {
    value.set(floatValues(type, weights, n, k));
    return { value, parts: value.map(Math.abs) };
  }
  const row = newIntegerRow(n * k);
  decodeIntegers(type, weights, 0, n * k, row);
  const hasMinima = ["Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K"].includes(type);
  for (let i = 0; i < n * k; i++) {
    const high = row.d[i >> 5] * row.scales[i >> 4] * row.codes[i];
    const low = hasMinima ? row.dmin[i >> 5] * row.mins[i >> 4] : 0;
    value[i] = high - low;
    parts[i] = Math.abs(high) + Math.abs(low);
  }
  return { value, parts };
}

/** The activations that the product sees: for integer weights those that quantising leaves. */
function activationValues({ type, x, rows, k }: Product): Float64Array {
  const values = Float64Array.from(x);
  if (!isIntegerType(type)) return values;
  for (let row = 0; row < rows; row++) {
    const { codes, scales } = quantized(x, row * k, k);
    for (let i = 0; i < k; i++) values[row * k + i] = codes[i] * scales[i >> 5];
  }
  return values;
}

/**
 * How far each output may lie from the reference's. Sums in f32 are off by 2^-24 for each addition, on either side, and
 * numbers below 2^-126 may become zero. Then, by the kernels:
 *
 * - Factors of bf16 are off by 2^-8 of themselves at most, so a product of two by little more than 2^-7. Every value of k
 *   is an addition.
 * - Panels add whole numbers, which are exact, and round for each 32 values at most three products and three additions;
 *   so either way is off by (3·k/32 + 3) · 2^-24 of all magnitudes, and by 2^-23 for bias and residual.
 */
function bounds(p: Product, by: "bf16" | "panels"): Float64Array {
  const { value, parts } = weightValues(p);
  const a = activationValues(p);
  const ofFactors = by === "bf16" ? 2 ** -7 + 2 ** -16 : 0;
  const ofSums = (by === "bf16" ? p.k + 16 : 3 * (p.k / 32) + 5) * 2 ** -23;
  const allowed = new Float64Array(p.rows * p.n);
  for (let row = 0; row < p.rows; row++) {
    for (let column = p.first ?? 0; column < (p.last ?? p.n); column++) {
      let sum = 0;
      let roundings = 0;
      let small = 0;
      for (let i = 0; i < p.k; i++) {
        const magnitude = Math.abs(a[row * p.k + i]);
        sum += magnitude * Math.abs(value[column * p.k + i]);
        roundings += magnitude * parts[column * p.k + i];
        small += magnitude + Math.abs(value[column * p.k + i]) + 1;
      }
      const added = Math.abs(p.bias?.[column] ?? 0) + Math.abs(p.residual?.[row * p.n + column] ?? 0);
      allowed[row * p.n + column] = sum * ofFactors + (roundings + added) * ofSums + small * 2 ** -125;
    }
  }
  return allowed;
}

/** Compares what kernels of several levels give for a product with the reference. */
function expectNear(answers: ReadonlyMap<string, Float32Array>, p: Product): void {
  const want = expected(p);
  const allowedBy = new Map<string, Float64Array>();
  for (const [level, got] of answers) {
    const by = isIntegerType(p.type) && !level.startsWith("amx") ? "panels" : "bf16";
    if (!allowedBy.has(by)) allowedBy.set(by, bounds(p, by));
    const allowed = allowedBy.get(by)!;
    for (let i = 0; i < want.length; i++) {
      // Where sums leave the range of f32 the order decides what is left of them.
      if (allowed[i] > 2 ** 118) continue;
      const near = Number.isNaN(want[i]) ? Number.isNaN(got[i]) : Math.abs(got[i] - want[i]) <= allowed[i];
      const what = `${level} ${p.type} rows ${p.rows} n ${p.n} k ${p.k}`;
      if (!near) expect.fail(`${what}, output ${i}: got ${got[i]}, want ${want[i]} ± ${allowed[i]}`);
    }
  }
}

describe.skipIf(!installed)(`native fast products (${toolchain.name})`, () => {
  const levelsOf = installed ? manyRowLevels(toolchain, "fast") : new Map<TensorType, string[]>();
  const types = packedTypes.filter((type) => levelsOf.get(type)?.length);

  describe.each(types)("%s", (type: TensorType) => {
    const levels = levelsOf.get(type)!;
    const wide = isIntegerType(type) ? 512 : 100;

    function expectProducts(products: readonly Product[]): void {
      const harness = new Harness(toolchain);
      for (const one of products) for (const level of levels) harness.matmul(level, one, "fast");
      const answers = harness.run();
      products.forEach((one, i) => {
        const ofLevel = (j: number) => floats(answers[i * levels.length + j]);
        expectNear(new Map(levels.map((level, j) => [level, ofLevel(j)])), one);
      });
    }

    test("at widths around every edge", () => {
      const widths = isIntegerType(type) ? [256, 2304] : [1, 15, 17, 31, 33, 64, 100, 2049];
      expectProducts(widths.map((k) => product(type, 17, 18, k)));
    });

    test("for 1…64 rows around every edge", () => {
      expectProducts([1, 7, 15, 16, 17, 31, 33, 64].map((rows) => product(type, rows, 18, wide)));
    });

    test("for columns around multiples of sixteen, and beyond a panel", () => {
      expectProducts([1, 15, 17, 31, 33, 257].map((n) => product(type, 3, n, 256)));
    });

    test("with bias, with a residual, with both, and in place; in one piece along k and in two", () => {
      for (const k of [wide, 2304]) {
        expectProducts(withBiasAndResidual(product(type, 19, 18, k)));
      }
    });

    test("writes the columns asked for and no others", () => {
      const plain = product(type, 18, 69, wide);
      expectProducts([
        { ...plain, first: 16, last: 32 },
        { ...plain, first: 32, last: 69 },
        { ...plain, first: 0, last: 64 },
      ]);
    });

    test("columns and rows give the same bits however they are cut", () => {
      const whole = product(type, 48, 69, wide);
      const harness = new Harness(toolchain);
      for (const level of levels) {
        harness.matmul(level, whole, "fast");
        harness.matmul(level, { ...whole, first: 16, last: 48 }, "fast");
        harness.matmul(level, { ...whole, x: whole.x.subarray(17 * whole.k), rows: 31 }, "fast");
      }
      const answers = harness.run().map(floats);
      levels.forEach((level, i) => {
        const [all, some, later] = answers.slice(i * 3);
        for (let row = 0; row < whole.rows; row++) {
          const part = (values: Float32Array, at: number, to: number) => values.slice(at, to);
          const start = row * whole.n;
          expect(part(some, start + 16, start + 48), level).toEqual(part(all, start + 16, start + 48));
        }
        expect(later, level).toEqual(all.slice(17 * whole.n));
      });
    });

    test("for extreme codes and scales", () => {
      const halves = [0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff];
      expectProducts(
        [0x00, 0xff, 0x80, 0x7f, 0x55].map((byte) => product(type, 17, 17, wide, { byte, halves })),
      );
    });

    test("for activations that are huge, tiny, infinite or NaN", () => {
      const plain = product(type, 20, 17, wide);
      for (let i = 0; i < plain.k; i++) {
        plain.x[i] *= 2 ** 100;
        plain.x[plain.k + i] *= 2 ** -125;
        plain.x[2 * plain.k + i] = 2 ** -149 * (i % 3);
        plain.x[3 * plain.k + i] = 1e-30;
      }
      plain.x[4 * plain.k + (plain.k >> 1)] = Number.NaN;
      plain.x[5 * plain.k] = Number.POSITIVE_INFINITY;
      plain.x[6 * plain.k + plain.k - 1] = Number.NEGATIVE_INFINITY;
      expectProducts([plain]);
    });
  });

  // One run for all types: under an emulator each begins with starting a system.
  const real = (type: TensorType) => levelsOf.get(type)!.find((level) => /^amx(-unasked)?$/.test(level));
  const withTiles = types.filter((type) => real(type) && levelsOf.get(type)!.includes("amx-model"));
  test.skipIf(withTiles.length === 0)("tiles: the instructions give the bits of their model", () => {
    const shapes = [
      { rows: 1, n: 1 },
      { rows: 16, n: 16 },
      { rows: 17, n: 33 },
      { rows: 35, n: 50 },
    ];
    const products = withTiles.flatMap((type) =>
      shapes.flatMap(({ rows, n }) =>
        (isIntegerType(type) ? [256] : [1, 70]).map((k) => product(type, rows, n, k)),
      ),
    );
    const deep = withTiles.map((type) => product(type, 18, 18, 2304));
    const harness = new Harness(toolchain);
    for (const one of [...products, ...deep]) {
      harness.matmul(real(one.type)!, one, "fast");
      harness.matmul("amx-model", one, "fast");
    }
    const answers = harness.run().map(floats);
    [...products, ...deep].forEach((one, i) => {
      const what = `${one.type} rows ${one.rows} n ${one.n} k ${one.k}`;
      expectSameBits(answers[2 * i], answers[2 * i + 1], what);
      expectNear(new Map([[real(one.type)!, answers[2 * i]]]), one);
    });
  });

  test.runIf(toolchain.runner.length > 0)("run at every level that was asked for", () => {
    // Tiles leave F32 alone.
    for (const type of packedTypes.filter((one) => one !== "F32")) {
      expect(levelsOf.get(type)).toEqual(toolchain.fastLevels);
    }
  });
});
