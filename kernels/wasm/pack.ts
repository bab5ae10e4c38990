// From GGUF's rows to strips (formats/shape.ts) and the memory they take. (AssemblyScript)
import {
  BF16, blockBytes, blockValues, bodiesAt, bodyBytes, F16, F32, headBytes, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS, IQ4_NL,
  IQ4_XS, is, isIQ3, MXFP4, numberOf, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0, stripBytes, TQ2_0,
} from "./formats/shape";

/** Bytes of a packed matrix; rows are padded to a multiple of four. 0 for a format that is not packed. */
export function packedBytes(format: i32, rows: i32, width: i32): usize {
  const padded = <usize>((rows + 3) & ~3);
  if (format == numberOf<F32>()) return padded * <usize>width * 4;
  if (format == numberOf<F16>() || format == numberOf<BF16>()) return padded * <usize>width * 2;
  const strips = padded >> 2;
  if (format == numberOf<Q4_0>()) return strips * stripBytes<Q4_0>(width);
  if (format == numberOf<Q4_1>()) return strips * stripBytes<Q4_1>(width);
  if (format == numberOf<Q5_0>()) return strips * stripBytes<Q5_0>(width);
  if (format == numberOf<Q5_1>()) return strips * stripBytes<Q5_1>(width);
  if (format == numberOf<Q8_0>()) return strips * stripBytes<Q8_0>(width);
  if (format == numberOf<Q2_K>()) return strips * stripBytes<Q2_K>(width);
  if (format == numberOf<Q3_K>()) return strips * stripBytes<Q3_K>(width);
  if (format == numberOf<Q4_K>()) return strips * stripBytes<Q4_K>(width);
  if (format == numberOf<Q5_K>()) return strips * stripBytes<Q5_K>(width);
  if (format == numberOf<Q6_K>()) return strips * stripBytes<Q6_K>(width);
  if (format == numberOf<IQ4_NL>()) return strips * stripBytes<IQ4_NL>(width);
  if (format == numberOf<IQ4_XS>()) return strips * stripBytes<IQ4_XS>(width);
  if (format == numberOf<TQ2_0>()) return strips * stripBytes<TQ2_0>(width);
  if (format == numberOf<MXFP4>()) return strips * stripBytes<MXFP4>(width);
  if (format == numberOf<IQ2_XXS>()) return strips * stripBytes<IQ2_XXS>(width);
  if (format == numberOf<IQ2_XS>()) return strips * stripBytes<IQ2_XS>(width);
  if (format == numberOf<IQ3_XXS>()) return strips * stripBytes<IQ3_XXS>(width);
  if (format == numberOf<IQ3_S>()) return strips * stripBytes<IQ3_S>(width);
  return 0;
}

/**
 * Packs rows that lie one after another, as in GGUF or as src/devices/wasm/forms.ts makes them.
 *
 * source  rows · width values
 * target  packed address of the first of these rows, 16-byte aligned; apart from source
 * rows    a multiple of four except at the end of the matrix, where rows of zero bits fill the strip
 */
export function packRows(format: i32, source: usize, target: usize, rows: i32, width: i32): void {
  if (format == numberOf<F32>()) packFloats(source, target, rows, width * 4);
  else if (format == numberOf<F16>() || format == numberOf<BF16>()) packFloats(source, target, rows, width * 2);
  else if (format == numberOf<Q4_0>()) packStrips<Q4_0>(source, target, rows, width);
  else if (format == numberOf<Q4_1>()) packStrips<Q4_1>(source, target, rows, width);
  else if (format == numberOf<Q5_0>()) packStrips<Q5_0>(source, target, rows, width);
  else if (format == numberOf<Q5_1>()) packStrips<Q5_1>(source, target, rows, width);
  else if (format == numberOf<Q8_0>()) packStrips<Q8_0>(source, target, rows, width);
  else if (format == numberOf<Q2_K>()) packStrips<Q2_K>(source, target, rows, width);
  else if (format == numberOf<Q3_K>()) packStrips<Q3_K>(source, target, rows, width);
  else if (format == numberOf<Q4_K>()) packStrips<Q4_K>(source, target, rows, width);
  else if (format == numberOf<Q5_K>()) packStrips<Q5_K>(source, target, rows, width);
  else if (format == numberOf<Q6_K>()) packStrips<Q6_K>(source, target, rows, width);
  else if (format == numberOf<IQ4_NL>()) packStrips<IQ4_NL>(source, target, rows, width);
  else if (format == numberOf<IQ4_XS>()) packStrips<IQ4_XS>(source, target, rows, width);
  else if (format == numberOf<TQ2_0>()) packStrips<TQ2_0>(source, target, rows, width);
  else if (format == numberOf<MXFP4>()) packStrips<MXFP4>(source, target, rows, width);
  else if (format == numberOf<IQ2_XXS>()) packStrips<IQ2_XXS>(source, target, rows, width);
  else if (format == numberOf<IQ2_XS>()) packStrips<IQ2_XS>(source, target, rows, width);
  else if (format == numberOf<IQ3_XXS>()) packStrips<IQ3_XXS>(source, target, rows, width);
  else if (format == numberOf<IQ3_S>()) packStrips<IQ3_S>(source, target, rows, width);
}

function packFloats(source: usize, target: usize, rows: i32, rowBytes: i32): void {
  const bytes = <usize>rows * <usize>rowBytes;
  const padded = <usize>((rows + 3) & ~3) * <usize>rowBytes;
  memory.copy(target, source, bytes);
  memory.fill(target + bytes, 0, padded - bytes);
}

function packStrips<F>(source: usize, target: usize, rows: i32, width: i32): void {
  const blocks = width / blockValues<F>();
  const rowBytes = <usize>(blocks * blockBytes<F>());
  const bodies = bodiesAt<F>(width);
  for (let row = 0; row < rows; row += 4, source += rowBytes << 2, target += stripBytes<F>(width)) {
    // Rows past the end repeat the last one here and are cleared below.
    const last = rows - row - 1;
    const r1: usize = last < 1 ? 0 : rowBytes;
    const r2: usize = last < 2 ? r1 : rowBytes * 2;
    const r3: usize = last < 3 ? r2 : rowBytes * 3;
    let s = source;
    let head = target;
    let body = target + bodies;
    for (let b = 0; b < blocks; b++) {
      packBlock<F>(s, s + r1, s + r2, s + r3, head, body);
      s += blockBytes<F>();
      head += headBytes<F>();
      body += bodyBytes<F>();
    }
    if (last < 3) clearRows<F>(target, bodies, blocks, last + 1);
  }
}

/** Clears the rows from `first` on of a strip. */
// @ts-ignore: decorator
@inline
function clearRows<F>(strip: usize, bodies: usize, blocks: i32, first: i32): void {
  const size: usize = is<F, MXFP4>() ? 1 : 2; // of a number in the head
  const heads = strip + <usize>(blocks * headBytes<F>());
  for (let p = strip; p < heads; p += size << 2) {
    for (let row = <usize>first; row < 4; row++) memory.fill(p + row * size, 0, size);
  }
  const end = strip + bodies + <usize>(blocks * bodyBytes<F>());
  for (let p = strip + bodies; p < end; p += 16) {
    for (let row = <usize>first; row < 4; row++) store<i32>(p + (row << 2), 0);
  }
}

// @ts-ignore: decorator
@inline
function packBlock<F>(s0: usize, s1: usize, s2: usize, s3: usize, head: usize, body: usize): void {
  if (is<F, Q4_0>() || is<F, IQ4_NL>()) {
    // f16 scale, 16 bytes
    halves(s0, s1, s2, s3, 0, head);
    vectors(s0, s1, s2, s3, 2, 1, body);
  } else if (is<F, Q4_1>()) {
    // f16 scale, f16 minimum, 16 bytes
    halves(s0, s1, s2, s3, 0, head);
    halves(s0, s1, s2, s3, 2, head + 8);
    vectors(s0, s1, s2, s3, 4, 1, body);
  } else if (is<F, Q5_0>()) {
    // f16 scale, 4 bytes of fifth bits, 16 bytes
    halves(s0, s1, s2, s3, 0, head);
    vectors(s0, s1, s2, s3, 6, 1, body);
    fifthBits(s0, s1, s2, s3, 2, body + 64);
  } else if (is<F, Q5_1>()) {
    halves(s0, s1, s2, s3, 0, head);
    halves(s0, s1, s2, s3, 2, head + 8);
    vectors(s0, s1, s2, s3, 8, 1, body);
    fifthBits(s0, s1, s2, s3, 4, body + 64);
  } else if (is<F, Q8_0>()) {
    halves(s0, s1, s2, s3, 0, head);
    vectors(s0, s1, s2, s3, 2, 2, body);
  } else if (is<F, Q2_K>()) {
    // 16 scales, 64 bytes, f16 scale, f16 minimum
    halves(s0, s1, s2, s3, 80, head);
    halves(s0, s1, s2, s3, 82, head + 8);
    vectors(s0, s1, s2, s3, 0, 5, body);
  } else if (is<F, Q3_K>()) {
    // 32 bytes of third bits, 64 bytes, 12 bytes of scales, f16 scale
    halves(s0, s1, s2, s3, 108, head);
    vectors(s0, s1, s2, s3, 0, 6, body);
    words(s0, s1, s2, s3, 96, body + 384);
    words(s0, s1, s2, s3, 100, body + 400);
    words(s0, s1, s2, s3, 104, body + 416);
  } else if (is<F, Q4_K>() || is<F, Q5_K>()) {
    // f16 scale, f16 minimum, 12 bytes of scales, (32 bytes of fifth bits,) 128 bytes
    halves(s0, s1, s2, s3, 0, head);
    halves(s0, s1, s2, s3, 2, head + 8);
    words(s0, s1, s2, s3, 4, body);
    words(s0, s1, s2, s3, 8, body + 16);
    words(s0, s1, s2, s3, 12, body + 32);
    vectors(s0, s1, s2, s3, 16, is<F, Q4_K>() ? 8 : 10, body + 48);
  } else if (is<F, Q6_K>()) {
    // 128 bytes, 64 bytes of upper bits, 16 scales, f16 scale
    halves(s0, s1, s2, s3, 208, head);
    vectors(s0, s1, s2, s3, 0, 13, body);
  } else if (is<F, IQ4_XS>()) {
    // f16 scale, 2 bytes of upper scale bits, 4 bytes of lower ones, 128 bytes
    halves(s0, s1, s2, s3, 0, head);
    halves(s0, s1, s2, s3, 2, head + 8);
    words(s0, s1, s2, s3, 4, body);
    vectors(s0, s1, s2, s3, 8, 8, body + 16);
  } else if (is<F, TQ2_0>()) {
    // 64 bytes, f16 scale
    halves(s0, s1, s2, s3, 64, head);
    vectors(s0, s1, s2, s3, 0, 4, body);
  } else if (is<F, MXFP4>()) {
    // exponent byte, 16 bytes
    store<u8>(head, load<u8>(s0));
    store<u8>(head + 1, load<u8>(s1));
    store<u8>(head + 2, load<u8>(s2));
    store<u8>(head + 3, load<u8>(s3));
    vectors(s0, s1, s2, s3, 1, 1, body);
  } else if (isIQ3<F>()) {
    // f16 scale, 4 bytes of scales, 128 bytes
    halves(s0, s1, s2, s3, 0, head);
    words(s0, s1, s2, s3, 2, body);
    vectors(s0, s1, s2, s3, 6, 8, body + 16);
  } else if (is<F, IQ2_XXS>()) {
    // f16 scale, 4 bytes of scales, 32 bytes of signs, 64 bytes
    halves(s0, s1, s2, s3, 0, head);
    words(s0, s1, s2, s3, 2, body);
    vectors(s0, s1, s2, s3, 6, 6, body + 16);
  } else if (is<F, IQ2_XS>()) {
    // the same with 8 bytes of scales
    halves(s0, s1, s2, s3, 0, head);
    words(s0, s1, s2, s3, 2, body);
    words(s0, s1, s2, s3, 6, body + 16);
    vectors(s0, s1, s2, s3, 10, 6, body + 32);
  }
}

/** Two bytes at `at` of each row, one row after another. */
// @ts-ignore: decorator
@inline
function halves(s0: usize, s1: usize, s2: usize, s3: usize, at: usize, to: usize): void {
  store<u32>(to, <u32>load<u16>(s0 + at) | (<u32>load<u16>(s1 + at) << 16));
  store<u32>(to + 4, <u32>load<u16>(s2 + at) | (<u32>load<u16>(s3 + at) << 16));
}

/** Four bytes at `at` of each row, one row after another. */
// @ts-ignore: decorator
@inline
function words(s0: usize, s1: usize, s2: usize, s3: usize, at: usize, to: usize): void {
  store<u32>(to, load<u32>(s0 + at));
  store<u32>(to + 4, load<u32>(s1 + at));
  store<u32>(to + 8, load<u32>(s2 + at));
  store<u32>(to + 12, load<u32>(s3 + at));
}

/** Swaps bits p and q (p < q) of the index of every bit in a 32-bit word. */
// @ts-ignore: decorator
@inline
function swapIndexBits(v: v128, p: i32, q: i32, mask: i32): v128 {
  const shift = (1 << q) - (1 << p);
  const changed = v128.and(v128.xor(i32x4.shr_u(v, shift), v), i32x4.splat(mask));
  return v128.xor(v, v128.xor(changed, i32x4.shl(changed, shift)));
}

/**
 * As `words`, for 32 single bits: bit 4u + i goes to bit u of byte i, so that unit u's four bits lie in one
 * place of the four bytes that it makes. The bit's index turns from (u2 u1 u0 i1 i0) to (i1 i0 u2 u1 u0).
 */
// @ts-ignore: decorator
@inline
function fifthBits(s0: usize, s1: usize, s2: usize, s3: usize, at: usize, to: usize): void {
  words(s0, s1, s2, s3, at, to);
  let v = v128.load(to); // the mask of each swap: the words' bits whose index has bit p set and bit q clear
  v = swapIndexBits(v, 0, 2, 0x0a0a0a0a); // (u2 u1 i0 i1 u0)
  v = swapIndexBits(v, 1, 3, 0x00cc00cc); // (u2 i1 i0 u1 u0)
  v = swapIndexBits(v, 2, 4, 0x0000f0f0); // (i0 i1 u2 u1 u0)
  v = swapIndexBits(v, 3, 4, 0x0000ff00); // (i1 i0 u2 u1 u0)
  v128.store(to, v);
}

/** 16 · count bytes at `at` of each row, transposed in words of four bytes. */
// @ts-ignore: decorator
@inline
function vectors(s0: usize, s1: usize, s2: usize, s3: usize, at: usize, count: i32, to: usize): void {
  for (let i: usize = 0; i < <usize>count << 4; i += 16, to += 64) {
    const a = v128.load(s0 + at + i);
    const b = v128.load(s1 + at + i);
    const c = v128.load(s2 + at + i);
    const d = v128.load(s3 + at + i);
    const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
    const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
    const abHigh = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
    const cdHigh = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<i64>(ab, cd, 0, 2));
    v128.store(to + 16, v128.shuffle<i64>(ab, cd, 1, 3));
    v128.store(to + 32, v128.shuffle<i64>(abHigh, cdHigh, 0, 2));
    v128.store(to + 48, v128.shuffle<i64>(abHigh, cdHigh, 1, 3));
  }
}
