// The scales and minima of a packed block of four rows. (AssemblyScript)
//
// Integer scales come as pairs of i16: lane r of four holds those of row r, the first sixteen values' in the lower
// half, the second sixteen's in the upper, ready for i32x4.dot_i16x8_s. `n`, `j` as in codes.ts.
import { f16x4 } from "../float";
import { IQ2_XS, IQ2_XXS, IQ3_XXS, IQ4_XS, is, isIQ2, isIQ3, MXFP4, Q2_K, Q3_K, Q4_1, Q4_K, Q5_1, Q5_K, Q6_K } from "./shape";

/** How many values share an integer scale: 32, 16, or 0 where there are none. */
// @ts-ignore: decorator
@inline
export function scaleGroup<F>(): i32 {
  if (is<F, Q2_K>() || is<F, Q3_K>() || is<F, Q6_K>() || is<F, IQ2_XS>()) return 16;
  return is<F, Q4_K>() || is<F, Q5_K>() || is<F, IQ4_XS>() ? 32 : 0;
}

// @ts-ignore: decorator
@inline
export function hasMinima<F>(): bool {
  return is<F, Q4_1>() || is<F, Q5_1>() || is<F, Q2_K>() || is<F, Q4_K>() || is<F, Q5_K>();
}

/** The f32 scales d of four rows. */
// @ts-ignore: decorator
@inline
export function scaleOf<F>(head: usize): v128 {
  if (is<F, MXFP4>()) {
    // 2^(e − 128), subnormal for e = 0, 1: half of the exponent's value, since the codes are doubled.
    const e = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(head)));
    const normal = i32x4.shl(i32x4.sub(e, i32x4.splat(1)), 23);
    const subnormal = i32x4.shl(i32x4.add(e, i32x4.splat(1)), 21);
    return v128.bitselect(subnormal, normal, i32x4.lt_s(e, i32x4.splat(2)));
  }
  const d = f16x4(v128.load16x4_s(head));
  if (isIQ2<F>()) return f32x4.mul(d, f32x4.splat(0.125));
  return is<F, IQ3_XXS>() ? f32x4.mul(d, f32x4.splat(0.25)) : d;
}

/** The f32 scales of part j of half n: d, but where a scale for 32 values is a factor of it. */
// @ts-ignore: decorator
@inline
export function partScale<F>(d: v128, body: usize, n: usize, j: i32): v128 {
  if (!is<F, IQ2_XXS>() && !isIQ3<F>()) return d;
  // Four bits s in half-byte 4n + j of a word, for 2 · s + 1.
  const s = v128.and(i32x4.shr_u(v128.load(body), (<i32>n << 4) + (j << 2)), i32x4.splat(15));
  return f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.add(i32x4.add(s, s), i32x4.splat(1))));
}

/** The f32 minima dmin of four rows. */
// @ts-ignore: decorator
@inline
export function minimumOf<F>(head: usize): v128 {
  return f16x4(v128.load16x4_s(head + 8));
}

/** Bytes `first` and `second` of each lane as unsigned i16. */
// @ts-ignore: decorator
@inline
function bytePair(v: v128, first: i32, second: i32): v128 {
  return i16x8.shr_u(bytePairHigh(v, first, second), 8);
}

/** Bytes `first` and `second` of each lane in the upper bytes of two i16. */
// @ts-ignore: decorator
@inline
function bytePairHigh(v: v128, first: i32, second: i32): v128 {
  if (first == 0 && second == 0) return i8x16.shuffle(v, v, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
  if (first == 1) return i8x16.shuffle(v, v, 1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13);
  if (first == 2 && second == 2) {
    return i8x16.shuffle(v, v, 2, 2, 2, 2, 6, 6, 6, 6, 10, 10, 10, 10, 14, 14, 14, 14);
  }
  if (first == 3) return i8x16.shuffle(v, v, 3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15);
  if (first == 0) return i8x16.shuffle(v, v, 0, 0, 1, 1, 4, 4, 5, 5, 8, 8, 9, 9, 12, 12, 13, 13);
  return i8x16.shuffle(v, v, 2, 2, 3, 3, 6, 6, 7, 7, 10, 10, 11, 11, 14, 14, 15, 15);
}

/** Bytes 0, 1 (part j even) or 2, 3 (odd) of each lane as unsigned i16. */
// @ts-ignore: decorator
@inline
function pairOfPart(v: v128, j: i32): v128 {
  return j & 1 ? bytePair(v, 2, 3) : bytePair(v, 0, 1);
}

/** The integer scales; only where scaleGroup is not 0. */
// @ts-ignore: decorator
@inline
export function scalePair<F>(head: usize, body: usize, n: usize, j: i32): v128 {
  const word = (n << 5) + ((j >> 1) << 4);
  if (is<F, Q2_K>()) return v128.and(pairOfPart(v128.load(body + word), j), i16x8.splat(15));
  if (is<F, Q3_K>()) {
    // Six bits: the lower four of scales 0…7, 8…15 in the low, high nibbles of bytes 0…7; the upper two of
    // scales i, i + 4, i + 8, i + 12 in byte 8 + i.
    const shift = <i32>n << 2;
    const low = v128.and(i32x4.shr_u(v128.load(body + 384 + ((j >> 1) << 4)), shift), i8x16.splat(15));
    const high = v128.and(i32x4.shr_u(v128.load(body + 416), shift + (j & 2)), i8x16.splat(3));
    return i16x8.sub(pairOfPart(v128.or(low, i32x4.shl(high, 4)), j), i16x8.splat(32));
  }
  if (is<F, Q6_K>()) {
    const v = v128.load(body + 768 + word);
    return i16x8.shr_s(j & 1 ? bytePairHigh(v, 2, 3) : bytePairHigh(v, 0, 1), 8);
  }
  if (is<F, IQ2_XS>()) {
    // Four bits s each in the halves of byte 4n + j, for 2 · s + 1.
    const byte = i32x4.shr_u(v128.load(body + (n << 4)), j << 3);
    const low = v128.and(byte, i32x4.splat(15));
    const s = v128.or(low, v128.and(i32x4.shl(byte, 12), i32x4.splat(0xf0000)));
    return i16x8.add(i16x8.add(s, s), i16x8.splat(1));
  }
  if (is<F, IQ4_XS>()) {
    // Six bits: the lower four in nibble 4n + j of a word, the upper two at bit 2 · (4n + j) of 16 bits.
    const low = v128.and(i32x4.shr_u(v128.load(body), (<i32>n << 4) + (j << 2)), i32x4.splat(15));
    const high = v128.and(i32x4.shr_u(v128.load16x4_u(head + 8), (<i32>n << 3) + (j << 1)), i32x4.splat(3));
    const scale = v128.or(low, i32x4.shl(high, 4));
    return i16x8.sub(v128.or(scale, i32x4.shl(scale, 16)), i16x8.splat(32));
  }
  // Q4_K, Q5_K: six bits. Scales 0…3 are the lower six bits of bytes 0…3, minima 0…3 those of bytes 4…7; the others'
  // lower four bits are the nibbles of bytes 8…11, their upper two the upper two bits of bytes 0…3, 4…7.
  return bytePair(
    n == 0
      ? v128.and(v128.load(body), i8x16.splat(63))
      : v128.or(
          v128.and(v128.load(body + 32), i8x16.splat(15)),
          v128.and(i32x4.shr_u(v128.load(body), 2), i8x16.splat(48)),
        ),
    j,
    j,
  );
}

/** The integer minima; only where hasMinima. Q4_1 and Q5_1 add their minimum, so theirs is −1. */
// @ts-ignore: decorator
@inline
export function minimumPair<F>(body: usize, n: usize, j: i32): v128 {
  if (is<F, Q2_K>()) {
    return i16x8.shr_u(pairOfPart(v128.load(body + (n << 5) + ((j >> 1) << 4)), j), 4);
  }
  if (is<F, Q4_K>() || is<F, Q5_K>()) {
    return bytePair(
      n == 0
        ? v128.and(v128.load(body + 16), i8x16.splat(63))
        : v128.or(
            v128.and(i32x4.shr_u(v128.load(body + 32), 4), i8x16.splat(15)),
            v128.and(i32x4.shr_u(v128.load(body + 16), 2), i8x16.splat(48)),
          ),
      j,
      j,
    );
  }
  return i16x8.splat(-1);
}
