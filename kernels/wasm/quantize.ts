// Activations quantised per 32 values, as docs/numerics.md says. (AssemblyScript)
import { q8Block, q8Codes, q8Sums } from "./formats/q8-row";

/**
 * Quantises a row.
 *
 * x    n f32
 * out  a q8 row (formats/q8-row.ts)
 * n    values; 32 divides n
 */
export function quantizeRow(x: usize, out: usize, n: i32): void {
  const end = x + (<usize>n << 2);
  for (; x < end; x += 128, out += q8Block) quantizeBlock(x, out);
}

// @ts-ignore: decorator
@inline
function codes(x: usize, inverse: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), inverse)));
}

function quantizeBlock(x: usize, out: usize): void {
  // Of magnitudes the larger has the larger bits, NaN and infinity above all.
  const magnitude = i32x4.splat(0x7fffffff);
  let top = v128.and(v128.load(x), magnitude);
  for (let i: usize = 16; i < 128; i += 16) top = i32x4.max_s(top, v128.and(v128.load(x + i), magnitude));
  top = i32x4.max_s(top, v128.shuffle<i32>(top, top, 2, 3, 2, 3));
  top = i32x4.max_s(top, v128.shuffle<i32>(top, top, 1, 1, 1, 1));
  const bits = i32x4.extract_lane(top, 0);
  const amax = reinterpret<f32>(bits);
  // Infinity and NaN have exponent field 255: their bits are 0x7f800000 and above.
  if (bits >= 0x7f800000 || amax < <f32>1e-30) {
    store<f32>(out, bits >= 0x7f800000 ? reinterpret<f32>(0x7fc00000) : <f32>0);
    store<i32>(out + q8Sums, 0);
    v128.store(out + q8Codes, i32x4.splat(0));
    v128.store(out + q8Codes + 16, i32x4.splat(0));
    return;
  }
  store<f32>(out, amax / <f32>127);
  const inverse = f32x4.splat(<f32>127 / amax);
  // |x · inverse| exceeds 127 by rounding at most, so it rounds to 127 and no narrowing saturates.
  let a = i8x16.narrow_i16x8_s(
    i16x8.narrow_i32x4_s(codes(x, inverse), codes(x + 16, inverse)),
    i16x8.narrow_i32x4_s(codes(x + 32, inverse), codes(x + 48, inverse)),
  );
  let b = i8x16.narrow_i16x8_s(
    i16x8.narrow_i32x4_s(codes(x + 64, inverse), codes(x + 80, inverse)),
    i16x8.narrow_i32x4_s(codes(x + 96, inverse), codes(x + 112, inverse)),
  );
  store<i16>(out + q8Sums, <i16>sum(a));
  store<i16>(out + q8Sums + 2, <i16>sum(b));
  if (!RELAXED) {
    a = i8x16.shuffle(a, a, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
    b = i8x16.shuffle(b, b, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
  }
  v128.store(out + q8Codes, a);
  v128.store(out + q8Codes + 16, b);
}

/** The sum of sixteen i8. */
// @ts-ignore: decorator
@inline
function sum(v: v128): i32 {
  let s = i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(v));
  s = i32x4.add(s, v128.shuffle<i32>(s, s, 2, 3, 2, 3));
  return i32x4.extract_lane(s, 0) + i32x4.extract_lane(s, 1);
}
