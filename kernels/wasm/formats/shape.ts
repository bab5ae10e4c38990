// How matrices lie in memory once packed. (AssemblyScript)
//
// Integer formats: four rows of a matrix make a strip. A strip holds, for each block of the format in ascending
// order, first all heads (the f16 scales of the four rows), padded to 16 bytes, then all bodies (the codes and
// integer scales), a multiple of 16 bytes each, so that no 16-byte load of codes straddles two cache lines.
// A 16-byte vector of a body holds four bytes of row 0, the same four of row 1, of row 2 and of row 3: packing is
// a transposition of 32-bit words, and the size is GGUF's, the padding apart. The bits within keep GGUF's order, but
// for the fifth bits of Q5_0 and Q5_1 (pack.ts, fifthBits).
//
// Float formats: rows one after another, as in GGUF.
//
// A format is a type parameter F: the compiler makes a copy of the code for each and drops the other branches.

export class F32 {}
export class F16 {}
export class Q4_0 {}
export class Q4_1 {}
export class Q5_0 {}
export class Q5_1 {}
export class Q8_0 {}
export class Q2_K {}
export class Q3_K {}
export class Q4_K {}
export class Q5_K {}
export class Q6_K {}
export class IQ4_NL {}
export class IQ4_XS {}
export class BF16 {}
export class TQ2_0 {}
export class MXFP4 {}
// Types with tables of codes, in the form that src/devices/wasm/forms.ts gives them; IQ2_S has that of IQ2_XS.
export class IQ2_XXS {}
export class IQ2_XS {}
export class IQ3_XXS {}
export class IQ3_S {}

/** Whether F is the format G. */
// @ts-ignore: decorator
@inline
export function is<F, G>(): bool {
  return idof<F>() == idof<G>();
}

/** Whether F has codes of three bits (2-bit places and signs). */
// @ts-ignore: decorator
@inline
export function isIQ2<F>(): bool {
  return is<F, IQ2_XXS>() || is<F, IQ2_XS>();
}

/** Whether F has codes of four bits (3-bit places and signs). */
// @ts-ignore: decorator
@inline
export function isIQ3<F>(): bool {
  return is<F, IQ3_XXS>() || is<F, IQ3_S>();
}

/** The number that GGUF gives the tensor type. Source: the GGUF specification. */
// @ts-ignore: decorator
@inline
export function numberOf<F>(): i32 {
  if (is<F, F32>()) return 0;
  if (is<F, F16>()) return 1;
  if (is<F, Q4_0>()) return 2;
  if (is<F, Q4_1>()) return 3;
  if (is<F, Q5_0>()) return 6;
  if (is<F, Q5_1>()) return 7;
  if (is<F, Q8_0>()) return 8;
  if (is<F, Q2_K>()) return 10;
  if (is<F, Q3_K>()) return 11;
  if (is<F, Q4_K>()) return 12;
  if (is<F, Q5_K>()) return 13;
  if (is<F, Q6_K>()) return 14;
  if (is<F, IQ4_NL>()) return 20;
  if (is<F, IQ4_XS>()) return 23;
  if (is<F, BF16>()) return 30;
  if (is<F, TQ2_0>()) return 35;
  if (is<F, MXFP4>()) return 39;
  if (is<F, IQ2_XXS>()) return 16;
  if (is<F, IQ2_XS>()) return 17;
  if (is<F, IQ3_XXS>()) return 18;
  if (is<F, IQ3_S>()) return 21;
  return -1;
}

/** Whether the format takes f32 activations. */
// @ts-ignore: decorator
@inline
export function isFloat<F>(): bool {
  return is<F, F32>() || is<F, F16>() || is<F, BF16>();
}

/** Values in one block. */
// @ts-ignore: decorator
@inline
export function blockValues<F>(): i32 {
  if (isFloat<F>()) return 1;
  if (is<F, Q2_K>() || is<F, Q3_K>() || is<F, Q4_K>() || is<F, Q5_K>() || is<F, Q6_K>()) return 256;
  return is<F, IQ4_XS>() || is<F, TQ2_0>() || isIQ2<F>() || isIQ3<F>() ? 256 : 32;
}

/** Bytes of one block of one row before it is packed. */
// @ts-ignore: decorator
@inline
export function blockBytes<F>(): i32 {
  return isFloat<F>() ? (is<F, F32>() ? 4 : 2) : (headBytes<F>() + bodyBytes<F>()) >> 2;
}

/** Bytes of the head of one block of a strip: four rows' f16 scales, then four rows' f16 minima where there are. */
// @ts-ignore: decorator
@inline
export function headBytes<F>(): i32 {
  if (is<F, MXFP4>()) return 4; // one exponent byte a row
  if (is<F, Q4_1>() || is<F, Q5_1>() || is<F, Q2_K>() || is<F, Q4_K>() || is<F, Q5_K>()) return 16;
  if (is<F, IQ4_XS>()) return 16; // the scales, then the upper bits of the integer scales
  return 8;
}

/** Bytes of the body of one block of a strip. */
// @ts-ignore: decorator
@inline
export function bodyBytes<F>(): i32 {
  if (is<F, Q8_0>()) return 128;
  if (is<F, Q5_0>() || is<F, Q5_1>()) return 64 + 16; // nibbles; fifth bits
  if (is<F, Q2_K>()) return 64 + 256; // scales; codes
  if (is<F, Q3_K>()) return 128 + 256 + 48; // third bits; codes; scales
  if (is<F, Q4_K>()) return 48 + 512; // scales; codes
  if (is<F, Q5_K>()) return 48 + 128 + 512; // scales; fifth bits; codes
  if (is<F, Q6_K>()) return 512 + 256 + 64; // nibbles; upper bits; scales
  if (is<F, IQ4_XS>()) return 16 + 512; // scales; codes
  if (is<F, TQ2_0>()) return 256;
  if (is<F, IQ2_XXS>()) return 16 + 128 + 256; // scales; signs; codes
  if (is<F, IQ2_XS>()) return 32 + 128 + 256;
  if (isIQ3<F>()) return 16 + 512; // scales; codes
  return 64; // Q4_0, Q4_1, IQ4_NL, MXFP4: nibbles
}

/** Bytes from the start of a strip to its first body. */
// @ts-ignore: decorator
@inline
export function bodiesAt<F>(width: i32): usize {
  return <usize>(((width / blockValues<F>()) * headBytes<F>() + 15) & ~15);
}

/** Bytes of a strip of an integer format. */
// @ts-ignore: decorator
@inline
export function stripBytes<F>(width: i32): usize {
  return bodiesAt<F>(width) + <usize>((width / blockValues<F>()) * bodyBytes<F>());
}
