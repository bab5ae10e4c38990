// RELAXED: a constant from the build, `asc --use RELAXED=1` (with --enable relaxed-simd) or `--use RELAXED=0`.
//
// Matrix × activations: picks the code for a format. (AssemblyScript)
import {
  BF16, F16, F32, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS, IQ4_NL, IQ4_XS, MXFP4, numberOf, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0,
  Q5_1, Q5_K, Q6_K, Q8_0, stripBytes, TQ2_0,
} from "./formats/shape";
import { floatScratch, floatSums, weightBytes } from "./matmul-float";
import { rowSums, rowsTogether, stripScratch, stripSums } from "./matmul-strip";

/** Bytes of scratch that matmulTile needs, 16-byte aligned. */
export function scratchBytes(format: i32, k: i32): usize {
  const floats = format == numberOf<F32>() || format == numberOf<F16>() || format == numberOf<BF16>();
  return floats ? stripScratch + floatScratch(k) : stripScratch;
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
  for (let row = 0; row < rows; row += rowsTogether) {
    const count = min(rows - row, rowsTogether);
    if (format == numberOf<Q8_0>()) strips<Q8_0>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<Q4_0>()) strips<Q4_0>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<Q4_1>()) strips<Q4_1>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<Q5_0>()) strips<Q5_0>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<Q5_1>()) strips<Q5_1>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<Q2_K>()) strips<Q2_K>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<Q3_K>()) strips<Q3_K>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<Q4_K>()) strips<Q4_K>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<Q5_K>()) strips<Q5_K>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<Q6_K>()) strips<Q6_K>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<IQ4_NL>()) strips<IQ4_NL>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<IQ4_XS>()) strips<IQ4_XS>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<TQ2_0>()) strips<TQ2_0>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<MXFP4>()) strips<MXFP4>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<IQ2_XXS>()) strips<IQ2_XXS>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<IQ2_XS>()) strips<IQ2_XS>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<IQ3_XXS>()) strips<IQ3_XXS>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<IQ3_S>()) strips<IQ3_S>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<F32>()) floats<F32>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<F16>()) floats<F16>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    else if (format == numberOf<BF16>()) floats<BF16>(
      out, outStride, a, aStride, count, weight, k,
      bias, residual, residualStride, first, last, scratch,
    );
    out += <usize>count * outStride;
    a += <usize>count * aStride;
    if (residual) residual += <usize>count * residualStride;
  }
}

/** Integer formats: 1 … rowsTogether rows; the rest as for matmulTile. */
function strips<F>(
  out: usize, outStride: i32, a: usize, aStride: i32, count: i32, weight: usize, k: i32,
  bias: usize, residual: usize, residualStride: i32, first: i32, last: i32, scratch: usize,
): void {
  const bytes = stripBytes<F>(k);
  weight += <usize>(first >> 2) * bytes;
  let column = first;
  if (count == 1) {
    for (; column < last; column += 8, weight += bytes * 2) {
      const two = last - column > 4;
      rowSums<F>(scratch, a, weight, two ? bytes : 0, k);
      finish(out, 0, 1, bias, residual, 0, column, min(4, last - column), scratch);
      if (two) finish(out, 0, 1, bias, residual, 0, column + 4, min(4, last - column - 4), scratch + 16);
    }
    return;
  }
  for (; column < last; column += 4, weight += bytes) {
    stripSums<F>(scratch, a, <usize>aStride, count, weight, k);
    finish(out, outStride, count, bias, residual, residualStride, column, min(4, last - column), scratch);
  }
}

/** Float formats, likewise. */
function floats<F>(
  out: usize, outStride: i32, a: usize, aStride: i32, count: i32, weight: usize, k: i32,
  bias: usize, residual: usize, residualStride: i32, first: i32, last: i32, scratch: usize,
): void {
  const rowBytes = <usize>k * weightBytes<F>();
  for (let column = first; column < last; column += 4) {
    const w = weight + <usize>column * rowBytes;
    floatSums<F>(scratch, a, <usize>aStride, count, w, k, scratch + stripScratch);
    finish(out, outStride, count, bias, residual, residualStride, column, min(4, last - column), scratch);
  }
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
