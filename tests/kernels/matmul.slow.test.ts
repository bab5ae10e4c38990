import { beforeAll, describe, expect, test } from "vitest";
import { bf16ToF32, f16ToF32 } from "../../src/bytes/float.ts";
import { decodeIntegers, newIntegerRow } from "../../src/bytes/integer-blocks.ts";
import { rowBytes, type TensorType, tensorTypes } from "../../src/bytes/types.ts";
import { formOf, toForm } from "../../src/devices/wasm/forms.ts";
import { q8RowBytes } from "../../src/plan/tape.ts";
import { random } from "../support/random.ts";
import { type Build, type Kernels, loadKernels } from "./matmul-module.ts";
import { halvesAt } from "./native-matmul-cases.ts";

// The matrix kernels of the WebAssembly device against the contract of docs/numerics.md, written out below one
// value at a time, bit by bit.

const integerTypes = [
  "Q4_0",
  "Q4_1",
  "Q5_0",
  "Q5_1",
  "Q8_0",
  "Q2_K",
  "Q3_K",
  "Q4_K",
  "Q5_K",
  "Q6_K",
  "IQ2_XXS",
  "IQ2_XS",
  "IQ2_S",
  "IQ3_XXS",
  "IQ3_S",
  "IQ4_NL",
  "IQ4_XS",
  "TQ2_0",
  "MXFP4",
] as const satisfies readonly TensorType[];
const floatTypes = ["F32", "F16", "BF16"] as const satisfies readonly TensorType[];
type Type = (typeof integerTypes)[number] | (typeof floatTypes)[number];

const isFloat = (type: Type): boolean => (floatTypes as readonly string[]).includes(type);
const round = Math.fround;

// --- the contract -----------------------------------------------------------------------------------------------

interface Quantised {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const above = x - below;
  if (above !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

function quantise(x: Float32Array): Quantised {
  const codes = new Int8Array(x.length);
  const scales = new Float32Array(x.length / 32);
  for (let b = 0; b < scales.length; b++) {
    let amax = 0;
    for (const value of x.subarray(32 * b, 32 * b + 32)) amax = Math.max(amax, Math.abs(value));
    if (!Number.isFinite(amax)) scales[b] = Number.NaN;
    else if (amax >= round(1e-30)) {
      scales[b] = round(amax / 127);
      const inverse = round(127 / amax);
      for (let i = 32 * b; i < 32 * b + 32; i++) codes[i] = roundHalfEven(round(x[i] * inverse));
    }
  }
  return { codes, scales };
}

function integerDot(weight: ReturnType<typeof newIntegerRow>, a: Quantised): number {
  let acc = 0;
  for (let b = 0; b < a.scales.length; b++) {
    let dot = 0;
    let low = 0;
    for (let i = 32 * b; i < 32 * b + 32; i++) {
      dot += weight.scales[i >> 4] * weight.codes[i] * a.codes[i];
      low += weight.mins[i >> 4] * a.codes[i];
    }
    acc = round(acc + round(round(a.scales[b] * weight.d[b]) * round(dot)));
    acc = round(acc - round(round(a.scales[b] * weight.dmin[b]) * round(low)));
  }
  return acc;
}

function dot16(a: Float32Array, b: Float32Array): number {
  const lanes = new Float32Array(16);
  for (let i = 0; i < a.length; i++) lanes[i % 16] += round(a[i] * b[i]);
  for (const step of [8, 4, 2, 1]) for (let i = 0; i < step; i++) lanes[i] += lanes[i + step];
  return lanes[0];
}

/** Values of a row of a float type. */
function floatRow(type: Type, bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = tensorTypes[type].bytes;
  return Float32Array.from({ length: bytes.length / size }, (_, i) => {
    if (type === "F32") return view.getFloat32(4 * i, true);
    return (type === "F16" ? f16ToF32 : bf16ToF32)(view.getUint16(2 * i, true));
  });
}

/** One output of every row: [rows · n]. */
function expected(type: Type, weight: Uint8Array, n: number, k: number, x: Float32Array[]): Float32Array {
  const out = new Float32Array(x.length * n);
  const step = rowBytes(type, k);
  const quantised = isFloat(type) ? [] : x.map(quantise);
  const row = newIntegerRow(isFloat(type) ? 0 : k);
  for (let column = 0; column < n; column++) {
    const bytes = weight.subarray(column * step, (column + 1) * step);
    if (isFloat(type)) {
      const values = floatRow(type, bytes);
      for (let r = 0; r < x.length; r++) out[r * n + column] = dot16(values, x[r]);
    } else {
      decodeIntegers(type, bytes, 0, k, row);
      for (let r = 0; r < x.length; r++) out[r * n + column] = integerDot(row, quantised[r]);
    }
  }
  return out;
}

// --- weights and activations ------------------------------------------------------------------------------------

/** The f16 scales that blocks get in turn: zero, ±1, ordinary, subnormal, smallest normal, largest. */
const extremeHalves = [0x0000, 0x3c00, 0xbc00, 0x2e66, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xfbff];

type Fill = "random" | "set" | "clear";

/** n rows of k weights as in a model file; any bits, but every f16 scale and float weight finite. */
function weightBytes(type: Type, n: number, k: number, seed: number, fill: Fill = "random"): Uint8Array {
  const next = random(seed);
  const bytes = new Uint8Array(n * rowBytes(type, k));
  const view = new DataView(bytes.buffer);
  if (type === "F32") {
    for (let i = 0; i < n * k; i++)
      view.setFloat32(4 * i, (next() - 0.5) * 2 ** Math.floor(next() * 8), true);
    return bytes;
  }
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = fill === "random" ? next() * 256 : fill === "set" ? 255 : 0;
  if (type === "F16") for (let i = 1; i < bytes.length; i += 2) bytes[i] &= 0xbf; // exponent fields 0…15
  if (type === "BF16") for (let i = 1; i < bytes.length; i += 2) bytes[i] = (bytes[i] & 0x83) | 0x3c;
  const step = tensorTypes[type].bytes;
  for (let at = 0, block = 0; !isFloat(type) && at < bytes.length; at += step, block++) {
    for (const [i, offset] of (halvesAt[type] ?? []).entries()) {
      const half = fill === "random" ? extremeHalves[(block + 4 * i) % extremeHalves.length] : 0x2e66;
      view.setUint16(at + offset, half, true);
    }
    if (type === "MXFP4") bytes[at] = [0, 1, 2, 127, 130, 100, 200, 255][block % 8];
  }
  return bytes;
}

type Shape = "random" | "equal" | "alternating" | "special";

/** One row of activations. */
function activations(k: number, seed: number, shape: Shape = "random"): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: k }, (_, i) => {
    if (shape === "equal") return 1.5;
    if (shape === "alternating") return i % 2 === 0 ? 3 : -3;
    if (shape === "special") {
      // A block each of zeros, of values too small to count, of huge ones, and with halves to round to even.
      if (i >> 5 === 0) return i % 3 === 0 ? -0 : 0;
      if (i >> 5 === 1) return (next() - 0.5) * 1e-30;
      if (i >> 5 === 2) return (next() - 0.5) * 1e30;
      return i % 32 === 0 ? 127 : Math.floor(next() * 200 - 100) + 0.5;
    }
    return (next() - 0.5) * 2 ** Math.floor(next() * 6);
  });
}

// --- running the kernels ----------------------------------------------------------------------------------------

const memoryBytes = 16 << 20;
const builds: Partial<Record<Build, Kernels>> = {};
beforeAll(async () => {
  builds.relaxed = await loadKernels("relaxed", memoryBytes);
  builds.simd = await loadKernels("simd", memoryBytes);
});

interface Run {
  readonly build: Build;
  readonly type: Type;
  readonly n: number;
  readonly k: number;
  readonly weight: Uint8Array;
  readonly x: readonly Float32Array[];
  readonly bias?: Float32Array;
  readonly residual?: Float32Array;
  /** Columns of one call; by default all. */
  readonly chunk?: number;
}

/** Hands out memory piece by piece; what lies between is NaN as f32, to see that it is neither written nor used. */
function memoryOf(kernels: Kernels) {
  const bytes = new Uint8Array(kernels.memory.buffer);
  bytes.fill(0xff);
  let next = 1024;
  return (size: number, from?: Uint8Array): number => {
    const at = next;
    next = Math.ceil((at + size) / 64) * 64 + 64;
    if (next > bytes.length) throw new Error("the test needs more memory");
    if (from) bytes.set(from, at);
    return at;
  };
}

const asBytes = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** [rows · n] as the kernels compute it. */
function matmul({ build, type, n, k, weight, x, bias, residual, chunk = (n + 3) & ~3 }: Run): Float32Array {
  const kernels = builds[build] as Kernels;
  const { format } = formOf(type);
  const place = memoryOf(kernels);
  const packed = packInto(kernels, place, type, weight, n, k);
  const aStride = isFloat(type) ? Math.ceil((k * 4) / 64) * 64 : q8RowBytes(k);
  const a = place(x.length * aStride);
  for (const [r, row] of x.entries()) {
    const at = place(k * 4, asBytes(row));
    if (isFloat(type)) new Uint8Array(kernels.memory.buffer).copyWithin(a + r * aStride, at, at + k * 4);
    else kernels.quantizeRow(at, a + r * aStride, k);
  }
  const biasAt = bias ? place(n * 4, asBytes(bias)) : 0;
  const stride = n * 4 + 16;
  const out = place(x.length * stride);
  const floats = new Float32Array(kernels.memory.buffer);
  if (residual) {
    for (let r = 0; r < x.length; r++)
      floats.set(residual.subarray(r * n, (r + 1) * n), (out + r * stride) / 4);
  }
  const before = floats.slice(out / 4, (out + x.length * stride) / 4);
  const scratch = place(kernels.scratchBytes(format, k));
  for (let first = 0; first < n; first += chunk) {
    const last = Math.min(n, first + chunk);
    kernels.matmulTile(
      ...([format, out, stride, a, aStride, x.length, packed, n, k, biasAt] as const),
      ...([residual ? out : 0, stride, first, last, scratch] as const),
    );
  }
  const result = new Float32Array(x.length * n);
  for (let r = 0; r < x.length; r++) {
    const row = floats.subarray((out + r * stride) / 4, (out + (r + 1) * stride) / 4);
    result.set(row.subarray(0, n), r * n);
    for (let i = n; i < stride / 4; i++) expect(Object.is(row[i], before[(r * stride) / 4 + i])).toBe(true);
  }
  return result;
}

function packInto(
  kernels: Kernels,
  place: ReturnType<typeof memoryOf>,
  type: Type,
  weight: Uint8Array,
  n: number,
  k: number,
): number {
  const { format } = formOf(type);
  const rows = toForm(type, weight);
  const source = place(rows.length, rows);
  const size = kernels.packedBytes(format, n, k);
  const packed = place(size);
  kernels.packRows(format, source, packed, n, k);
  const after = new Uint8Array(kernels.memory.buffer, packed + size, 16);
  expect(after.every((byte) => byte === 0xff)).toBe(true);
  return packed;
}

/** Expects the same bits; any NaN equals any other. */
function expectBits(got: Float32Array, want: Float32Array, n: number): void {
  for (let i = 0; i < want.length; i++) {
    if (Object.is(got[i], want[i])) continue;
    expect.fail(`row ${Math.floor(i / n)} column ${i % n}: got ${got[i]}, want ${want[i]}`);
  }
  expect(got.length).toBe(want.length);
}

const rowsOf = (count: number, k: number, shape: Shape = "random"): Float32Array[] =>
  Array.from({ length: count }, (_, r) => activations(k, 1000 * count + r, shape));

describe.each(["relaxed", "simd"] as const)("%s", (build) => {
  test("quantizeRow: sums, scales and codes come out in a product with ones", () => {
    // Codes are internal to the build; Q8_0 weights with one code 1 and scale 1 read each of them.
    const k = 128;
    const weight = new Uint8Array(k * rowBytes("Q8_0", k));
    for (let i = 0; i < k; i++) {
      const at = i * rowBytes("Q8_0", k) + (i >> 5) * 34;
      weight[at + 1] = 0x3c;
      weight[at + 2 + (i & 31)] = 1;
    }
    for (const shape of ["random", "equal", "alternating", "special"] as const) {
      const x = [activations(k, 5, shape)];
      const want = quantise(x[0]);
      const got = matmul({ build, type: "Q8_0", n: k, k, weight, x });
      expectBits(
        got,
        Float32Array.from(want.codes, (code, i) => code * want.scales[i >> 5]),
        k,
      );
    }
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "quantizeRow: %s makes the row's products NaN",
    (value) => {
      const x = rowsOf(2, 64);
      x[1][37] = value;
      const weight = weightBytes("Q4_0", 4, 64, 1);
      const got = matmul({ build, type: "Q4_0", n: 4, k: 64, weight, x });
      expectBits(got, expected("Q4_0", weight, 4, 64, x), 4);
      expect(got.subarray(4).every(Number.isNaN)).toBe(true);
    },
  );

  describe.each([...integerTypes, ...floatTypes])("%s", (type) => {
    const block = tensorTypes[type].block;
    const widths = isFloat(type)
      ? [1, 3, 4, 7, 8, 13, 15, 16, 17, 31, 100, 320]
      : block === 32
        ? [32, 64, 96, 288]
        : [256, 512, 768];

    test.each(widths)("width %i: every number of columns and rows", (k) => {
      for (const n of [1, 3, 4, 5, 8, 11]) {
        const weight = weightBytes(type, n, k, n + k);
        for (const count of [1, 2, 3, 4, 5, 9, 17]) {
          const x = rowsOf(count, k);
          expectBits(matmul({ build, type, n, k, weight, x }), expected(type, weight, n, k, x), n);
        }
      }
    });

    test("more rows than share one pass; a row alone has the same bits", () => {
      const k = block === 256 ? 512 : 160;
      const n = 8;
      const weight = weightBytes(type, n, k, 3);
      const x = rowsOf(131, k);
      const got = matmul({ build, type, n, k, weight, x });
      expectBits(got, expected(type, weight, n, k, x), n);
      for (const r of [0, 63, 64, 130]) {
        expectBits(matmul({ build, type, n, k, weight, x: [x[r]] }), got.subarray(r * n, (r + 1) * n), n);
      }
    });

    test("bias, a residual in place, columns in chunks", () => {
      const [n, k] = [14, block === 256 ? 256 : 64];
      const weight = weightBytes(type, n, k, 4);
      const bias = activations(n, 8);
      for (const count of [1, 6]) {
        const x = rowsOf(count, k);
        const residual = activations(n * count, 9);
        const want = expected(type, weight, n, k, x).map((sum, i) => residual[i] + round(sum + bias[i % n]));
        expectBits(matmul({ build, type, n, k, weight, x, bias, residual, chunk: 4 }), want, n);
      }
    });

    test.each(["set", "clear"] as const)("all bits %s, activations of one sign and of both", (fill) => {
      if (isFloat(type)) return;
      const [n, k] = [4, 512];
      const weight = weightBytes(type, n, k, 0, fill);
      for (const shape of ["equal", "alternating", "special"] as const) {
        for (const count of [1, 2]) {
          const x = rowsOf(count, k, shape);
          expectBits(matmul({ build, type, n, k, weight, x }), expected(type, weight, n, k, x), n);
        }
      }
    });

    test("gatherRow reads back every row", () => {
      const kernels = builds[build] as Kernels;
      for (const [n, k] of [
        [1, block === 1 ? 5 : block],
        [7, block === 1 ? 33 : 3 * block],
      ]) {
        const weight = weightBytes(type, n, k, 6);
        const place = memoryOf(kernels);
        const packed = packInto(kernels, place, type, weight, n, k);
        const out = place(k * 4);
        const step = rowBytes(type, k);
        for (let r = 0; r < n; r++) {
          kernels.gatherRow(formOf(type).format, packed, n, k, r, out);
          const got = new Float32Array(kernels.memory.buffer, out, k);
          expectBits(got, rowValues(type, weight.subarray(r * step, (r + 1) * step), k), k);
        }
      }
    });
  });
});

/** d · f32(scale · code) − dmin · f32(min), each operation rounded. */
function rowValues(type: Type, bytes: Uint8Array, k: number): Float32Array {
  if (isFloat(type)) return floatRow(type, bytes);
  const row = newIntegerRow(k);
  decodeIntegers(type, bytes, 0, k, row);
  return Float32Array.from(row.codes, (code, i) =>
    round(
      round(row.d[i >> 5] * ((row.scales[i >> 4] * code) | 0)) - round(row.dmin[i >> 5] * row.mins[i >> 4]),
    ),
  );
}
