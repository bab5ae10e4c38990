// One row of a packed matrix, read back to f32. (AssemblyScript)
import { codeBits, codeOffset, codesAt } from "./formats/codes";
import { hasMinima, minimumOf, minimumPair, partScale, scaleGroup, scaleOf, scalePair } from "./formats/scales";
import {
  BF16, blockValues, bodiesAt, bodyBytes, F16, F32, headBytes, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS, IQ4_NL, IQ4_XS, MXFP4,
  numberOf, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0, stripBytes, TQ2_0,
} from "./formats/shape";
import { weightAt, weightBytes } from "./matmul-float";

/**
 * Reads row `row` of a packed matrix: d · f32(scale · code) − dmin · f32(min), each operation rounded.
 *
 * weight  packed [n, width]
 * out     width f32
 */
export function gatherRow(format: i32, weight: usize, n: i32, width: i32, row: i32, out: usize): void {
  if (format == numberOf<F32>()) gatherFloats<F32>(weight, width, row, out);
  else if (format == numberOf<F16>()) gatherFloats<F16>(weight, width, row, out);
  else if (format == numberOf<BF16>()) gatherFloats<BF16>(weight, width, row, out);
  else if (format == numberOf<Q4_0>()) gatherBlocks<Q4_0>(weight, width, row, out);
  else if (format == numberOf<Q4_1>()) gatherBlocks<Q4_1>(weight, width, row, out);
  else if (format == numberOf<Q5_0>()) gatherBlocks<Q5_0>(weight, width, row, out);
  else if (format == numberOf<Q5_1>()) gatherBlocks<Q5_1>(weight, width, row, out);
  else if (format == numberOf<Q8_0>()) gatherBlocks<Q8_0>(weight, width, row, out);
  else if (format == numberOf<Q2_K>()) gatherBlocks<Q2_K>(weight, width, row, out);
  else if (format == numberOf<Q3_K>()) gatherBlocks<Q3_K>(weight, width, row, out);
  else if (format == numberOf<Q4_K>()) gatherBlocks<Q4_K>(weight, width, row, out);
  else if (format == numberOf<Q5_K>()) gatherBlocks<Q5_K>(weight, width, row, out);
  else if (format == numberOf<Q6_K>()) gatherBlocks<Q6_K>(weight, width, row, out);
  else if (format == numberOf<IQ4_NL>()) gatherBlocks<IQ4_NL>(weight, width, row, out);
  else if (format == numberOf<IQ4_XS>()) gatherBlocks<IQ4_XS>(weight, width, row, out);
  else if (format == numberOf<TQ2_0>()) gatherBlocks<TQ2_0>(weight, width, row, out);
  else if (format == numberOf<MXFP4>()) gatherBlocks<MXFP4>(weight, width, row, out);
  else if (format == numberOf<IQ2_XXS>()) gatherBlocks<IQ2_XXS>(weight, width, row, out);
  else if (format == numberOf<IQ2_XS>()) gatherBlocks<IQ2_XS>(weight, width, row, out);
  else if (format == numberOf<IQ3_XXS>()) gatherBlocks<IQ3_XXS>(weight, width, row, out);
  else if (format == numberOf<IQ3_S>()) gatherBlocks<IQ3_S>(weight, width, row, out);
}

function gatherFloats<F>(weight: usize, width: i32, row: i32, out: usize): void {
  let w = weight + <usize>row * <usize>width * weightBytes<F>();
  const end = out + (<usize>width << 2);
  for (; out < end; out += 4, w += weightBytes<F>()) store<f32>(out, weightAt<F>(w));
}

function gatherBlocks<F>(weight: usize, width: i32, row: i32, out: usize): void {
  let head = weight + <usize>(row >> 2) * stripBytes<F>(width);
  let body = head + bodiesAt<F>(width);
  const blocks = width / blockValues<F>();
  const lane = i8x16.splat(<i8>((row & 3) << 2)); // the byte where this row's word begins
  for (let b = 0; b < blocks; b++) {
    const d = scaleOf<F>(head);
    const dmin = hasMinima<F>() ? ofRow(minimumOf<F>(head), lane) : d;
    if (blockValues<F>() == 32) {
      gatherPart<F>(head, body, 0, 0, lane, d, dmin, out);
      out += 128;
    } else {
      for (let n: usize = 0; n < 2; n++) {
        gatherPart<F>(head, body, n, 0, lane, d, dmin, out);
        gatherPart<F>(head, body, n, 1, lane, d, dmin, out + 128);
        gatherPart<F>(head, body, n, 2, lane, d, dmin, out + 256);
        gatherPart<F>(head, body, n, 3, lane, d, dmin, out + 384);
        out += 512;
      }
    }
    head += headBytes<F>();
    body += bodyBytes<F>();
  }
}

/** The row's word of v in all lanes. */
// @ts-ignore: decorator
@inline
function ofRow(v: v128, lane: v128): v128 {
  return i8x16.swizzle(v, i8x16.add(lane, i8x16(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3)));
}

/** The 32 values of a part. */
// @ts-ignore: decorator
@inline
function gatherPart<F>(head: usize, body: usize, n: usize, j: i32, lane: v128, d: v128, dmin: v128, out: usize,
): void {
  d = ofRow(partScale<F>(d, body, n, j), lane);
  const scales = scaleGroup<F>() ? ofRow(scalePair<F>(head, body, n, j), lane) : d;
  const minima = hasMinima<F>() ? ofRow(minimumPair<F>(body, n, j), lane) : d;
  const low0 = hasMinima<F>() ? lowOf(dmin, i32x4.shr_s(i32x4.shl(minima, 16), 16)) : d;
  const low1 = hasMinima<F>() ? lowOf(dmin, i32x4.shr_s(minima, 16)) : d;
  const scale0 = i32x4.shr_s(i32x4.shl(scales, 16), 16);
  const scale1 = i32x4.shr_s(scales, 16);
  gatherUnit<F>(ofRow(codesAt<F>(body, n, j, 0), lane), scale0, d, low0, out);
  gatherUnit<F>(ofRow(codesAt<F>(body, n, j, 1), lane), scale0, d, low0, out + 16);
  gatherUnit<F>(ofRow(codesAt<F>(body, n, j, 2), lane), scale0, d, low0, out + 32);
  gatherUnit<F>(ofRow(codesAt<F>(body, n, j, 3), lane), scale0, d, low0, out + 48);
  gatherUnit<F>(ofRow(codesAt<F>(body, n, j, 4), lane), scale1, d, low1, out + 64);
  gatherUnit<F>(ofRow(codesAt<F>(body, n, j, 5), lane), scale1, d, low1, out + 80);
  gatherUnit<F>(ofRow(codesAt<F>(body, n, j, 6), lane), scale1, d, low1, out + 96);
  gatherUnit<F>(ofRow(codesAt<F>(body, n, j, 7), lane), scale1, d, low1, out + 112);
}

// @ts-ignore: decorator
@inline
function lowOf(dmin: v128, minimum: v128): v128 {
  return f32x4.mul(dmin, f32x4.convert_i32x4_s(minimum));
}

/** Four values, from their codes in the first four bytes of `codes`. */
// @ts-ignore: decorator
@inline
function gatherUnit<F>(codes: v128, scale: v128, d: v128, low: v128, out: usize): void {
  let code = codeBits<F>() == 8
    ? i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(codes))
    : i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(codes));
  if (codeOffset<F>()) code = i32x4.sub(code, i32x4.splat(codeOffset<F>()));
  if (scaleGroup<F>()) code = i32x4.mul(code, scale);
  const value = f32x4.mul(d, f32x4.convert_i32x4_s(code));
  v128.store(out, hasMinima<F>() ? f32x4.sub(value, low) : value);
}
