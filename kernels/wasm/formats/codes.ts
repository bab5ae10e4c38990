// The codes of a packed block, four rows × four values at a time. (AssemblyScript)
//
// A block of 256 values is taken as eight parts of 32: half `n` (0, 1; known when running) and part `j` of the
// half (0…3; constant). Blocks of 32 have n = j = 0. A part is eight units `u` of four values.
import {
  IQ2_XXS, IQ3_S, IQ3_XXS, IQ4_NL, IQ4_XS, is, isIQ2, isIQ3, MXFP4, Q2_K, Q3_K, Q4_0, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0,
  TQ2_0,
} from "./shape";

/** Bits of an unsigned code; 8 means a signed byte. */
// @ts-ignore: decorator
@inline
export function codeBits<F>(): i32 {
  if (is<F, Q8_0>() || is<F, IQ4_NL>() || is<F, IQ4_XS>() || isIQ2<F>() || is<F, IQ3_XXS>()) return 8;
  if (is<F, Q6_K>()) return 6;
  if (is<F, Q5_0>() || is<F, Q5_1>() || is<F, Q5_K>() || is<F, MXFP4>() || is<F, IQ3_S>()) return 5;
  return 4; // or fewer
}

/** What to subtract from an unsigned code. */
// @ts-ignore: decorator
@inline
export function codeOffset<F>(): i32 {
  if (is<F, Q6_K>()) return 32;
  if (is<F, Q5_0>() || is<F, IQ3_S>()) return 16;
  if (is<F, MXFP4>()) return 12;
  if (is<F, Q3_K>()) return 4;
  if (is<F, TQ2_0>()) return 1;
  return is<F, Q4_0>() ? 8 : 0;
}

/** Nibbles 0 (low) or 1 (high) of each byte. */
// @ts-ignore: decorator
@inline
function nibbles(v: v128, high: i32): v128 {
  return v128.and(high ? i16x8.shr_u(v, 4) : v, i8x16.splat(15));
}

/** The bits of `mask` of each byte after shifting right by `shift` (left where negative). */
// @ts-ignore: decorator
@inline
function bitsAt(v: v128, shift: i32, mask: i8): v128 {
  const moved = shift > 0 ? i16x8.shr_u(v, shift) : shift < 0 ? i16x8.shl(v, -shift) : v;
  return v128.and(moved, i8x16.splat(mask));
}

/** Looks up 16 indices 0…15. */
// @ts-ignore: decorator
@inline
function lookUp(table: v128, indices: v128): v128 {
  return RELAXED ? i8x16.relaxed_swizzle(table, indices) : i8x16.swizzle(table, indices);
}

/** Unit u of a format whose 16 bytes hold values 0…15 in the low nibbles and 16…31 in the high ones. */
// @ts-ignore: decorator
@inline
function halfBytes(body: usize, u: i32): v128 {
  return nibbles(v128.load(body + ((u & 3) << 4)), u >> 2);
}

/** The table of IQ4_NL and IQ4_XS. Source: the conformance table iq4_nl of the GGUF formats. */
// @ts-ignore: decorator
@inline
function iq4(indices: v128): v128 {
  return lookUp(
    i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113),
    indices,
  );
}

/**
 * Unit u: byte i of lane r is the code of value 4u + i of row r; signed bytes where codeBits is 8, else
 * unsigned with codeOffset to subtract.
 */
// @ts-ignore: decorator
@inline
export function codesAt<F>(body: usize, n: usize, j: i32, u: i32): v128 {
  const at = <usize>(u << 4);
  if (is<F, Q8_0>()) return v128.load(body + at);
  if (isIQ3<F>()) {
    const table = is<F, IQ3_XXS>()
      ? i8x16(4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62)
      : i8x16(17, 19, 21, 23, 25, 27, 29, 31, 15, 13, 11, 9, 7, 5, 3, 1); // plus 16
    return lookUp(table, halfBytes(body + 16 + (n << 8) + (j << 6), u));
  }
  if (isIQ2<F>()) {
    const signs = body + (is<F, IQ2_XXS>() ? 16 : 32);
    const sign = i16x8.shr_u(v128.load(signs + at), <i32>n << 2);
    const place = bitsAt(v128.load(signs + 128 + (n << 7) + at), j << 1, 3);
    const table = i8x16(8, 25, 43, 0, -8, -25, -43, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return lookUp(table, v128.or(place, bitsAt(sign, j - 2, 4)));
  }
  if (is<F, IQ4_NL>()) return iq4(halfBytes(body, u));
  if (is<F, IQ4_XS>()) return iq4(halfBytes(body + 16 + (n << 8) + (j << 6), u));
  if (is<F, MXFP4>()) {
    // Twice the values of E2M1, plus 12. Source: OCP Microscaling Formats v1.0.
    const table = i8x16(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
    return lookUp(table, halfBytes(body, u));
  }
  if (is<F, Q5_0>() || is<F, Q5_1>()) {
    return v128.or(halfBytes(body, u), bitsAt(v128.load(body + 64), u - 4, 16));
  }
  if (is<F, Q2_K>()) return bitsAt(v128.load(body + 64 + (n << 7) + at), j << 1, 3);
  if (is<F, TQ2_0>()) return bitsAt(v128.load(body + (n << 7) + at), j << 1, 3);
  if (is<F, Q3_K>()) {
    const third = i16x8.shr_u(v128.load(body + at), <i32>n << 2);
    return v128.or(bitsAt(v128.load(body + 128 + (n << 7) + at), j << 1, 3), bitsAt(third, j - 2, 4));
  }
  if (is<F, Q4_K>()) return nibbles(v128.load(body + 48 + (n << 8) + ((j >> 1) << 7) + at), j & 1);
  if (is<F, Q5_K>()) {
    const fifth = i16x8.shr_u(v128.load(body + 48 + at), <i32>n << 2);
    const low = nibbles(v128.load(body + 176 + (n << 8) + ((j >> 1) << 7) + at), j & 1);
    return v128.or(low, bitsAt(fifth, j - 4, 16));
  }
  if (is<F, Q6_K>()) {
    const low = nibbles(v128.load(body + (n << 8) + ((j & 1) << 7) + at), j >> 1);
    return v128.or(low, bitsAt(v128.load(body + 512 + (n << 7) + at), (j << 1) - 4, 48));
  }
  return halfBytes(body, u); // Q4_0, Q4_1
}
