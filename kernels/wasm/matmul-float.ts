// F32, F16 and BF16 weights × f32 activations: dot16 of docs/numerics.md. (AssemblyScript)
//
// Sixteen lanes are four vectors. Two weight rows at a time share the loads of the activations.
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

/**
 * y[0] = dot16(w0, x), y[1] = dot16(w1, x).
 *
 * y       2 f32
 * w0, w1  k weights each
 * x       k f32, any k
 */
export function dotPair<F>(y: usize, w0: usize, w1: usize, x: usize, k: i32): void {
  const size = weightBytes<F>();
  let a0 = f32x4.splat(0);
  let a1 = a0;
  let a2 = a0;
  let a3 = a0;
  let b0 = a0;
  let b1 = a0;
  let b2 = a0;
  let b3 = a0;
  let end = x + (<usize>(k & ~15) << 2);
  for (; x < end; x += 64, w0 += size * 16, w1 += size * 16) {
    const x0 = v128.load(x);
    const x1 = v128.load(x + 16);
    const x2 = v128.load(x + 32);
    const x3 = v128.load(x + 48);
    a0 = f32x4.add(a0, f32x4.mul(weights<F>(w0), x0));
    b0 = f32x4.add(b0, f32x4.mul(weights<F>(w1), x0));
    a1 = f32x4.add(a1, f32x4.mul(weights<F>(w0 + size * 4), x1));
    b1 = f32x4.add(b1, f32x4.mul(weights<F>(w1 + size * 4), x1));
    a2 = f32x4.add(a2, f32x4.mul(weights<F>(w0 + size * 8), x2));
    b2 = f32x4.add(b2, f32x4.mul(weights<F>(w1 + size * 8), x2));
    a3 = f32x4.add(a3, f32x4.mul(weights<F>(w0 + size * 12), x3));
    b3 = f32x4.add(b3, f32x4.mul(weights<F>(w1 + size * 12), x3));
  }
  // The last group of fewer than sixteen: four at a time while they last, then one lane after another.
  let left = k & 15;
  if (left >= 4) {
    a0 = f32x4.add(a0, f32x4.mul(weights<F>(w0), v128.load(x)));
    b0 = f32x4.add(b0, f32x4.mul(weights<F>(w1), v128.load(x)));
  } else if (left) {
    a0 = partial<F>(a0, w0, x, left);
    b0 = partial<F>(b0, w1, x, left);
  }
  if (left >= 8) {
    a1 = f32x4.add(a1, f32x4.mul(weights<F>(w0 + size * 4), v128.load(x + 16)));
    b1 = f32x4.add(b1, f32x4.mul(weights<F>(w1 + size * 4), v128.load(x + 16)));
  } else if (left > 4) {
    a1 = partial<F>(a1, w0 + size * 4, x + 16, left - 4);
    b1 = partial<F>(b1, w1 + size * 4, x + 16, left - 4);
  }
  if (left >= 12) {
    a2 = f32x4.add(a2, f32x4.mul(weights<F>(w0 + size * 8), v128.load(x + 32)));
    b2 = f32x4.add(b2, f32x4.mul(weights<F>(w1 + size * 8), v128.load(x + 32)));
  } else if (left > 8) {
    a2 = partial<F>(a2, w0 + size * 8, x + 32, left - 8);
    b2 = partial<F>(b2, w1 + size * 8, x + 32, left - 8);
  }
  if (left > 12) {
    a3 = partial<F>(a3, w0 + size * 12, x + 48, left - 12);
    b3 = partial<F>(b3, w1 + size * 12, x + 48, left - 12);
  }
  store<f32>(y, tree(a0, a1, a2, a3));
  store<f32>(y + 4, tree(b0, b1, b2, b3));
}

/** sum with the products of 1…3 values added to its first lanes; the others stay as they are. */
// @ts-ignore: decorator
@inline
function partial<F>(sum: v128, w: usize, x: usize, count: i32): v128 {
  const size = weightBytes<F>();
  sum = f32x4.replace_lane(sum, 0, f32x4.extract_lane(sum, 0) + weightAt<F>(w) * load<f32>(x));
  if (count > 1) {
    const product = weightAt<F>(w + size) * load<f32>(x + 4);
    sum = f32x4.replace_lane(sum, 1, f32x4.extract_lane(sum, 1) + product);
  }
  if (count > 2) {
    const product = weightAt<F>(w + size * 2) * load<f32>(x + 8);
    sum = f32x4.replace_lane(sum, 2, f32x4.extract_lane(sum, 2) + product);
  }
  return sum;
}
