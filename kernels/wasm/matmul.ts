// RELAXED: a constant from the build, `asc --use RELAXED=1` (with --enable relaxed-simd) or `--use RELAXED=0`.
//
// Matrix × activations: picks the code for a format. (AssemblyScript)
import {
  BF16, F16, F32, IQ4_NL, IQ4_XS, MXFP4, 
  numberOf, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0,stripBytes, TQ2_0,
} from "./formats/shape";
import { floatScratch, floatSums, weightBytes } from "./matmul-float";
import { rowSums, rowsTogether, stripScratch, stripSums } from "./matmul-strip";

/** Bytes of scratch that matmulTile needs, 16-byte aligned. */
export function scratchBytes(format: i32, k: i32): usize {
  return isFloatNumber(format) ? stripScratch + floatScratch(k) : stripScratch;
}

/**
 * Columns first…last−1 of out = a × weightᵀ (+ bias) (+ residual), for all rows of a.
 *
 * out       f32 rows of n, outStride bytes apart
 * a         q8 rows for integer formats, f32 rows for F32, F16, BF16; aStride bytes apart
 * weight    packed [n, k]
 * bias      n f32, or 0
 * residual  f32 rows of n, residualStride bytes apart, or 0; may be out itself
 * first     a multiple of four
 * last      a multiple of four, or n
 * scratch   scratchBytes(format, k), this thread's own
 */
export function matmulTile(
  format: i32, out: usize, outStride: i32, a: usize, aStride: i32, rows: i32, weight: usize, n: i32, k: i32,
  bias: usize, residual: usize, residualStride: i32, first: i32, last: i32, scratch: usize,
): void {
  if (rows == 1 && !isFloatNumber(format)) {
    for (let column = first; column < last; column += 8) {
      const two = last - column > 4;
      rowSumsOf(format, scratch, a, weight, column, two, k);
      finish(out, 0, 1, bias, residual, 0, column, min(4, last - column), scratch);
      if (two) finish(out, 0, 1, bias, residual, 0, column + 4, min(4, last - column - 4), scratch + 16);
    }
    return;
  }
  for (let row = 0; row < rows; row += rowsTogether) {
    const count = min(rows - row, rowsTogether);
    const o = out + <usize>row * outStride;
    const x = a + <usize>row * aStride;
    const r = residual ? residual + <usize>row * residualStride : 0;
    for (let column = first; column < last; column += 4) {
      sums(format, scratch, x, aStride, count, weight, column, k);
      finish(o, outStride, count, bias, r, residualStride, column, min(4, last - column), scratch);
    }
  }
}

/** Four columns' sums of count ≤ rowsTogether rows: count × 4 f32. */
// @ts-ignore: decorator
@inline
function sums(
  format: i32, to: usize, a: usize, aStride: i32, count: i32, weight: usize, column: i32, k: i32,
): void {
  if (format == numberOf<Q8_0>()) strip<Q8_0>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<Q4_0>()) strip<Q4_0>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<Q4_1>()) strip<Q4_1>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<Q5_0>()) strip<Q5_0>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<Q5_1>()) strip<Q5_1>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<Q2_K>()) strip<Q2_K>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<Q3_K>()) strip<Q3_K>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<Q4_K>()) strip<Q4_K>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<Q5_K>()) strip<Q5_K>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<Q6_K>()) strip<Q6_K>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<IQ4_NL>()) strip<IQ4_NL>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<IQ4_XS>()) strip<IQ4_XS>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<TQ2_0>()) strip<TQ2_0>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<MXFP4>()) strip<MXFP4>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<F32>()) floats<F32>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<F16>()) floats<F16>(to, a, aStride, count, weight, column, k);
  else if (format == numberOf<BF16>()) floats<BF16>(to, a, aStride, count, weight, column, k);
}

/** Eight columns' sums of one row, or four twice: 8 f32. */
// @ts-ignore: decorator
@inline
function rowSumsOf(
  format: i32, to: usize, a: usize, weight: usize, column: i32, two: bool, k: i32,
): void {
  if (format == numberOf<Q8_0>()) pair<Q8_0>(to, a, weight, column, two, k);
  else if (format == numberOf<Q4_0>()) pair<Q4_0>(to, a, weight, column, two, k);
  else if (format == numberOf<Q4_1>()) pair<Q4_1>(to, a, weight, column, two, k);
  else if (format == numberOf<Q5_0>()) pair<Q5_0>(to, a, weight, column, two, k);
  else if (format == numberOf<Q5_1>()) pair<Q5_1>(to, a, weight, column, two, k);
  else if (format == numberOf<Q2_K>()) pair<Q2_K>(to, a, weight, column, two, k);
  else if (format == numberOf<Q3_K>()) pair<Q3_K>(to, a, weight, column, two, k);
  else if (format == numberOf<Q4_K>()) pair<Q4_K>(to, a, weight, column, two, k);
  else if (format == numberOf<Q5_K>()) pair<Q5_K>(to, a, weight, column, two, k);
  else if (format == numberOf<Q6_K>()) pair<Q6_K>(to, a, weight, column, two, k);
  else if (format == numberOf<IQ4_NL>()) pair<IQ4_NL>(to, a, weight, column, two, k);
  else if (format == numberOf<IQ4_XS>()) pair<IQ4_XS>(to, a, weight, column, two, k);
  else if (format == numberOf<TQ2_0>()) pair<TQ2_0>(to, a, weight, column, two, k);
  else if (format == numberOf<MXFP4>()) pair<MXFP4>(to, a, weight, column, two, k);
}

// @ts-ignore: decorator
@inline
function isFloatNumber(format: i32): bool {
  return format == numberOf<F32>() || format == numberOf<F16>() || format == numberOf<BF16>();
}

/** Adds bias and residual and writes `columns` (1…4) columns from `column` on. */
function finish(
  out: usize, outStride: i32, count: i32, bias: usize, residual: usize, residualStride: i32,
  column: i32, columns: i32, sums: usize,
): void {
  const at = <usize>column << 2;
  out += at;
  if (bias) bias += at;
  if (residual) residual += at;
  for (let row = 0; row < count; row++, sums += 16, out += outStride) {
    if (columns == 4) {
      let v = v128.load(sums);
      if (bias) v = f32x4.add(v, v128.load(bias));
      if (residual) v = f32x4.add(v128.load(residual), v);
      v128.store(out, v);
    } else {
      for (let c: usize = 0; c < <usize>columns << 2; c += 4) {
        let v = load<f32>(sums + c);
        if (bias) v += load<f32>(bias + c);
        if (residual) v = load<f32>(residual + c) + v;
        store<f32>(out + c, v);
      }
    }
    if (residual) residual += residualStride;
  }
}

// @ts-ignore: decorator
@inline
function strip<F>(to: usize, a: usize, aStride: i32, count: i32, weight: usize, column: i32, k: i32,
): void {
  const at = weight + <usize>(column >> 2) * stripBytes<F>(k);
  stripSums<F>(to, a, <usize>aStride, count, at, k);
}

// @ts-ignore: decorator
@inline
function pair<F>(to: usize, a: usize, weight: usize, column: i32, two: bool, k: i32): void {
  const bytes = stripBytes<F>(k);
  rowSums<F>(to, a, weight + <usize>(column >> 2) * bytes, two ? bytes : 0, k);
}

// @ts-ignore: decorator
@inline
function floats<F>(
  to: usize, a: usize, aStride: i32, count: i32, weight: usize, column: i32, k: i32,
): void {
  const w = weight + <usize>column * <usize>k * weightBytes<F>();
  floatSums<F>(to, a, <usize>aStride, count, w, k, to + stripScratch);
}
