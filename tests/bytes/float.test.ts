import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bf16ToF32,
  e8m0,
  f16At,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  f32ToF16Saturating,
} from "../../src/bytes/float.ts";

const f32Bits = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer)[0];
const anyF32 = fc.integer({ min: 0, max: 0xffffffff }).map(f32Bits);

describe("f16", () => {
  test("known values", () => {
    // Source: IEEE 754-2019, binary16.
    expect([0x0000, 0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x3555].map(f16ToF32)).toEqual([
      0,
      1,
      -2,
      65_504,
      2 ** -14,
      2 ** -24,
      1365 / 4096,
    ]);
    expect(f16ToF32(0x8000)).toBe(-0);
    expect([f16ToF32(0x7c00), f16ToF32(0xfc00)]).toEqual([
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ]);
    expect(f16ToF32(0x7e00)).toBeNaN();
    expect(f16At(Uint8Array.of(9, 0x00, 0x3c), 1)).toBe(1);
  });

  test("all 65,536 numbers come back from f32", () => {
    for (let half = 0; half < 65_536; half++) {
      const value = f16ToF32(half);
      if (Number.isNaN(value)) expect(f16ToF32(f32ToF16(value))).toBeNaN();
      else if (f32ToF16(value) !== half) expect.fail(`${half.toString(16)}: ${value}`);
    }
  });

  test("halfway between neighbours goes to the even one, anything else to the nearer", () => {
    for (let half = 0; half < 0x7bff; half++) {
      const low = f16ToF32(half);
      const high = f16ToF32(half + 1);
      const middle = (low + high) / 2; // exact in f32
      const step = 2 ** (Math.floor(Math.log2(middle)) - 23);
      const even = half & 1 ? half + 1 : half;
      const found = [f32ToF16(middle), f32ToF16(middle - step), f32ToF16(middle + step), f32ToF16(-middle)];
      const wanted = [even, half, half + 1, even | 0x8000];
      if (found.join() !== wanted.join()) expect.fail(`${half.toString(16)}: got ${found}, want ${wanted}`);
    }
  });

  test("too large becomes infinity, or the largest where that is wanted", () => {
    expect([65_519.996, 65_520, 1e38, -1e38].map(f32ToF16)).toEqual([0x7bff, 0x7c00, 0x7c00, 0xfc00]);
    expect([65_519.996, 65_520, 1e38, -1e38].map(f32ToF16Saturating)).toEqual([
      0x7bff, 0x7bff, 0x7bff, 0xfbff,
    ]);
    expect(f32ToF16Saturating(Number.POSITIVE_INFINITY)).toBe(0x7c00);
    expect(f16ToF32(f32ToF16Saturating(Number.NaN))).toBeNaN();
  });
});

describe("bf16", () => {
  test("is the upper half of an f32, and comes back", () => {
    for (let half = 0; half < 65_536; half++) {
      const value = bf16ToF32(half);
      if (Number.isNaN(value)) expect(bf16ToF32(f32ToBf16(value))).toBeNaN();
      else if (value !== f32Bits(half * 65_536) || f32ToBf16(value) !== half) expect.fail(half.toString(16));
    }
  });

  test("rounding is to the nearest, ties to even", () => {
    fc.assert(
      fc.property(anyF32.filter(Number.isFinite), (value) => {
        const half = f32ToBf16(value);
        const found = bf16ToF32(half);
        if (!Number.isFinite(found)) return Math.abs(value) >= 2 ** 128 - 2 ** 119;
        const around = [bf16ToF32(half - 1), bf16ToF32(half + 1)].filter(Number.isFinite);
        return around.every((other) => {
          const [apart, otherApart] = [Math.abs(found - value), Math.abs(other - value)];
          return apart < otherApart || (apart === otherApart && (half & 1) === 0);
        });
      }),
    );
    expect([0x3f808000, 0x3f818000, 0x3f808001].map((bits) => f32ToBf16(f32Bits(bits)))).toEqual([
      0x3f80, 0x3f82, 0x3f81,
    ]);
  });
});

test("e8m0 are powers of two", () => {
  expect([0, 126, 127, 128, 254].map(e8m0)).toEqual([2 ** -127, 0.5, 1, 2, 2 ** 127]);
  expect(e8m0(255)).toBeNaN();
});
