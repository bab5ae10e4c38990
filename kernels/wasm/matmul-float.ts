// F32, F16 and BF16 weights × f32 activations: dot16 of docs/numerics.md. (AssemblyScript)
//
// Sixteen lanes are four vectors. One row of activations takes the weights as they are. For more rows, four weight
// rows at a time are expanded to f32, then two of them are multiplied with two activation rows, eight lanes in a
// first pass over k and eight in a second: sixteen sums of four vectors each would not fit the registers.
import { bf16, f16, f16x4 } from "./float";
import { F16, F32, is } from "./formats/shape";

/** Bytes of a weight. */
// @ts-ignore: decorator
@inline
export function weightBytes<F>(): usize {
  return is<F, F32>() ? 4 : 2;
}

/** Four weights from byte address w. */
// @ts-ignore: decorator
@inline
function weights<F>(w: usize): v128 {
  if (is<F, F32>()) return v128.load(w);
  if (is<F, F16>()) return f16x4(v128.load16x4_s(w));
  return i32x4.shl(v128.load16x4_u(w), 16);
}

/** One weight. */
// @ts-ignore: decorator
@inline
export function weightAt<F>(w: usize): f32 {
  if (is<F, F32>()) return load<f32>(w);
  if (is<F, F16>()) return f16(load<u16>(w));
  return bf16(load<u16>(w));
}

/** The tree of sum16: lane i takes i + 8, then i + 4, i + 2, i + 1. */
// @ts-ignore: decorator
@inline
function tree(a: v128, b: v128, c: v128, d: v128): f32 {
  let s = f32x4.add(f32x4.add(a, c), f32x4.add(b, d));
  s = f32x4.add(s, v128.shuffle<i32>(s, s, 2, 3, 2, 3));
  return f32x4.extract_lane(s, 0) + f32x4.extract_lane(s, 1);
}

/** Bytes of scratch for floatSums. */
// @ts-ignore: decorator
@inline
export function floatScratch(k: i32): usize {
  return weightsAt + (<usize>((k + 15) & ~15) << 4);
}

// Offsets in the scratch memory of floatSums: the sums of the first pass, the ends of two activation rows, four
// rows of f32 weights.
const endsAt: usize = 128;
const weightsAt: usize = 256;

/**
 * dot16 of four weight rows with every activation row.
 *
 * sums     rows × 4 f32, overwritten; room for one row more
 * a        f32 rows of k, aStride bytes apart
 * w        4 rows of k weights, one after another
 * scratch  floatScratch(k)
 */
export function floatSums<F>(
  sums: usize, a: usize, aStride: usize, rows: i32, w: usize, k: i32, scratch: usize,
): void {
  const rowBytes = <usize>k * weightBytes<F>();
  const end = k & 15;
  if (rows == 1 && !end) {
    for (let c: usize = 0; c < 16; c += 4, w += rowBytes) store<f32>(sums + c, dotOne<F>(w, a, k));
    return;
  }
  let stride = rowBytes;
  if (!is<F, F32>() || end) {
    const values = scratch + weightsAt;
    stride = <usize>((k + 15) & ~15) << 2;
    for (let c = 0; c < 4; c++) expand<F>(values + <usize>c * stride, w + <usize>c * rowBytes, k);
    w = values;
  }
  for (let row = 0; row < rows; row += 2, sums += 32) {
    const b = row + 1 < rows ? a + aStride : a;
    if (end) {
      const at = <usize>(k - end) << 2;
      memory.fill(scratch + endsAt, 0, 128);
      memory.copy(scratch + endsAt, a + at, <usize>end << 2);
      memory.copy(scratch + endsAt + 64, b + at, <usize>end << 2);
    }
    twoByTwo(sums, w, w + stride, a, b, k, scratch);
    twoByTwo(sums + 8, w + stride * 2, w + stride * 3, a, b, k, scratch);
    a += aStride * 2;
  }
}

/** k weights as f32, and zeros to a multiple of sixteen: products of zeros leave the lanes as they are. */
// @ts-ignore: decorator
@inline
function expand<F>(to: usize, w: usize, k: i32): void {
  const size = weightBytes<F>();
  let i = 0;
  for (; i + 4 <= k; i += 4, to += 16, w += size * 4) v128.store(to, weights<F>(w));
  for (; i < k; i++, to += 4, w += size) store<f32>(to, weightAt<F>(w));
  for (; i & 15; i++, to += 4) store<f32>(to, 0);
}

/** dot16(w, x) where sixteen divides k. */
// @ts-ignore: decorator
@inline
function dotOne<F>(w: usize, x: usize, k: i32): f32 {
  const size = weightBytes<F>();
  const end = x + (<usize>k << 2);
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  do {
    a = f32x4.add(a, f32x4.mul(weights<F>(w), v128.load(x)));
    b = f32x4.add(b, f32x4.mul(weights<F>(w + size * 4), v128.load(x, 16)));
    c = f32x4.add(c, f32x4.mul(weights<F>(w + size * 8), v128.load(x, 32)));
    d = f32x4.add(d, f32x4.mul(weights<F>(w + size * 12), v128.load(x, 48)));
    x += 64;
    w += size * 16;
  } while (x < end);
  return tree(a, b, c, d);
}

/** Weight rows v, w × activation rows x, y: sums[0], [1] = v·x, w·x and sums[4], [5] = v·y, w·y. */
function twoByTwo(sums: usize, v: usize, w: usize, x: usize, y: usize, k: i32, scratch: usize): void {
  for (let half: usize = 0; half < 64; half += 32) {
    let vx0 = f32x4.splat(0);
    let vx1 = vx0;
    let wx0 = vx0;
    let wx1 = vx0;
    let vy0 = vx0;
    let vy1 = vx0;
    let wy0 = vx0;
    let wy1 = vx0;
    let p = v + half;
    let q = w + half;
    let r = x + half;
    let s = y + half;
    let stop = p + (<usize>(k & ~15) << 2);
    let ends = k & 15;
    while (true) {
      if (p < stop) {
        do {
          let f = v128.load(r);
          let g = v128.load(p);
          let h = v128.load(q);
          vx0 = f32x4.add(vx0, f32x4.mul(f, g));
          wx0 = f32x4.add(wx0, f32x4.mul(f, h));
          f = v128.load(s);
          vy0 = f32x4.add(vy0, f32x4.mul(f, g));
          wy0 = f32x4.add(wy0, f32x4.mul(f, h));
          f = v128.load(r, 16);
          g = v128.load(p, 16);
          h = v128.load(q, 16);
          vx1 = f32x4.add(vx1, f32x4.mul(f, g));
          wx1 = f32x4.add(wx1, f32x4.mul(f, h));
          f = v128.load(s, 16);
          vy1 = f32x4.add(vy1, f32x4.mul(f, g));
          wy1 = f32x4.add(wy1, f32x4.mul(f, h));
          p += 64;
          q += 64;
          r += 64;
          s += 64;
        } while (p < stop);
      }
      if (!ends) break;
      // The last group: weights padded with zeros, activations from their copies.
      ends = 0;
      stop = p + 1;
      r = scratch + endsAt + half;
      s = r + 64;
    }
    if (half == 0) {
      v128.store(scratch, vx0);
      v128.store(scratch, vx1, 16);
      v128.store(scratch, wx0, 32);
      v128.store(scratch, wx1, 48);
      v128.store(scratch, vy0, 64);
      v128.store(scratch, vy1, 80);
      v128.store(scratch, wy0, 96);
      v128.store(scratch, wy1, 112);
    } else {
      store<f32>(sums, tree(v128.load(scratch), v128.load(scratch, 16), vx0, vx1));
      store<f32>(sums, tree(v128.load(scratch, 32), v128.load(scratch, 48), wx0, wx1), 4);
      store<f32>(sums, tree(v128.load(scratch, 64), v128.load(scratch, 80), vy0, vy1), 16);
      store<f32>(sums, tree(v128.load(scratch, 96), v128.load(scratch, 112), wy0, wy1), 20);
    }
  }
}
