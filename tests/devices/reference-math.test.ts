import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { quantize } from "../../src/devices/reference/activations.ts";
import {
  dot16,
  exp,
  f32,
  gelu,
  rotation,
  roundHalfEven,
  silu,
  sum16,
  tanh,
} from "../../src/devices/reference/math.ts";
import { finiteF16 } from "../../src/devices/reference/matrix.ts";

/** Distance in units of the last place of the wanted value. */
function ulps(got: number, want: number): number {
  if (got === want) return 0;
  const unit = 2 ** (Math.floor(Math.log2(Math.max(Math.abs(want), 2 ** -126))) - 23);
  return Math.abs(got - want) / unit;
}

function sweep(from: number, to: number, f: (x: number) => void): void {
  for (let i = 0; i <= 20000; i++) f(f32(from + ((to - from) * i) / 20000));
}

describe("functions of the numerics contract against Math, in double", () => {
  test("exp: within 2 units of the last place, from the smallest to the largest result", () => {
    sweep(-87.3, 88.7, (x) => expect(ulps(exp(x), Math.exp(x))).toBeLessThan(2));
    expect(exp(-88)).toBe(0);
    expect(exp(89)).toBe(Infinity);
    expect(exp(0)).toBe(1);
    expect(exp(-Infinity)).toBe(0);
    expect(exp(NaN)).toBeNaN();
  });

  test("tanh, silu and gelu: within 3e-7 of the value's scale", () => {
    sweep(-20, 20, (x) => {
      expect(Math.abs(tanh(x) - Math.tanh(x))).toBeLessThan(3e-7);
      expect(Math.abs(silu(x) - x / (1 + Math.exp(-x)))).toBeLessThan(3e-7 * Math.max(1, Math.abs(x)));
      const inner = 0.7978845608 * (x + 0.044715 * x ** 3);
      expect(Math.abs(gelu(x) - 0.5 * x * (1 + Math.tanh(inner)))).toBeLessThan(
        3e-7 * Math.max(1, Math.abs(x)),
      );
    });
  });

  test("rotation: cos and sin within 2e-7, up to a million positions", () => {
    for (const frequency of [1, 0.7498942093324559, 1e-4, 0.1333521432163324]) {
      for (let position = 0; position < 1_000_000; position += 997) {
        const [cos, sin] = rotation(position, frequency);
        expect(Math.abs(cos - Math.cos(position * frequency))).toBeLessThan(2e-7);
        expect(Math.abs(sin - Math.sin(position * frequency))).toBeLessThan(2e-7);
      }
    }
  });

  test("roundHalfEven: ties go to the even neighbour", () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, 126.5].map((x) => roundHalfEven(x) + 0)).toEqual([
      0, 2, 2, 0, -2, -2, 0, 126,
    ]);
  });

  test("sum16 and dot16: near the exact sum, whatever the length", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true, min: -100, max: 100 }), { maxLength: 70 }), (values) => {
        const x = Float32Array.from(values);
        const exact = x.reduce((sum, v) => sum + v, 0);
        const size = x.reduce((sum, v) => sum + Math.abs(v), 1);
        expect(Math.abs(sum16(x, 0, x.length) - exact)).toBeLessThan(1e-6 * size);
        const squares = x.reduce((sum, v) => sum + v * v, 0);
        expect(Math.abs(dot16(x, 0, x, 0, x.length) - squares)).toBeLessThan(1e-6 * (squares + 1));
      }),
    );
  });

  test("sum16: lanes, then the tree of halves", () => {
    // 1 and −1 meet last in the tree; the small value in between would be lost in a plain sum.
    const x = new Float32Array(16);
    x[0] = 2 ** 25;
    x[8] = -(2 ** 25);
    x[1] = 1;
    expect(sum16(x, 0, 16)).toBe(1);
  });
});

describe("quantised activations", () => {
  const quantized = (values: ArrayLike<number>) => {
    const x = Float32Array.from(values);
    const n = x.length;
    const row = { codes: new Int8Array(n), scales: new Float32Array(n / 32), sums: new Int32Array(n / 16) };
    quantize(x, 0, n, row);
    return row;
  };

  test("the largest magnitude becomes ±127, every value is within half a step", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, min: -1000, max: 1000 }), { minLength: 32, maxLength: 32 }),
        (v) => {
          const { codes, scales, sums } = quantized(v);
          v.forEach((value, i) => {
            expect(Math.abs(codes[i] * scales[0] - value)).toBeLessThanOrEqual(scales[0] * 0.5001);
          });
          const largest = Math.max(...v.map(Math.abs));
          if (largest > 1e-29) expect(Math.max(...codes.map(Math.abs))).toBe(127);
          expect(sums[0] + sums[1]).toBe(codes.reduce((sum, code) => sum + code, 0));
        },
      ),
    );
  });

  test("zeros and values too small to divide by give zeros; infinity and NaN give a NaN scale", () => {
    expect(quantized(new Float32Array(32))).toMatchObject({ scales: Float32Array.of(0) });
    expect(quantized(new Float32Array(32).fill(1e-40)).scales[0]).toBe(0);
    expect(quantized(new Float32Array(32).fill(Infinity)).scales[0]).toBeNaN();
    expect(quantized(new Float32Array(32).fill(NaN)).scales[0]).toBeNaN();
  });
});

test("finiteF16: every f16, the special exponent read as an ordinary one", () => {
  expect([0, 1, 0x03ff, 0x0400, 0x3c00, 0x7bff, 0xc000, 0x7c00].map(finiteF16)).toEqual([
    0,
    2 ** -24,
    1023 * 2 ** -24,
    2 ** -14,
    1,
    65504,
    -2,
    65536,
  ]);
});
