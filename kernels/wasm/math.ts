// The functions of docs/numerics.md, four lanes at a time. Every line is one rounded operation; nothing is
// fused, and no relaxed instruction is used, so the bits are those of the scalar reference.
// Source of the coefficients: Cephes expf, sinf, cosf (Moshier).

/** e^x in each lane: NaN stays NaN, above 88.72283 infinity, below −87.33654 zero. */
export function exp(x: v128): v128 {
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504)));
  const r = f32x4.sub(
    f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375))),
    f32x4.mul(n, f32x4.splat(-2.1219444e-4)),
  );
  let p = f32x4.splat(1.98756915e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  let y = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1));
  // 2^n in two factors, because n reaches 128, one more than the exponent field holds.
  const whole = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  const rest = i32x4.sub(whole, half);
  const bias = i32x4.splat(127);
  y = f32x4.mul(y, i32x4.shl(i32x4.add(half, bias), 23));
  y = f32x4.mul(y, i32x4.shl(i32x4.add(rest, bias), 23));
  y = v128.bitselect(f32x4.splat(f32.POSITIVE_INFINITY), y, f32x4.gt(x, f32x4.splat(88.72283)));
  return v128.andnot(y, f32x4.lt(x, f32x4.splat(-87.33654)));
}

/** x / (1 + e^−x) in each lane. */
export function silu(x: v128): v128 {
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exp(f32x4.neg(x))));
}

/** 1 − 2 / (e^2x + 1) in each lane. */
export function tanh(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.sub(
    one,
    f32x4.div(f32x4.splat(2), f32x4.add(exp(f32x4.mul(f32x4.splat(2), x)), one)),
  );
}

/** The tanh form of gelu in each lane. Source: Hendrycks and Gimpel 2016, arXiv:1606.08415. */
export function gelu(x: v128): v128 {
  const cube = f32x4.mul(f32x4.mul(f32x4.splat(0.044715), x), f32x4.mul(x, x));
  const inner = f32x4.mul(f32x4.splat(0.79788456), f32x4.add(x, cube));
  return f32x4.mul(f32x4.mul(f32x4.splat(0.5), x), f32x4.add(f32x4.splat(1), tanh(inner)));
}

/** cap · tanh(x / cap) in each lane. */
export function softcap(x: v128, cap: v128): v128 {
  return f32x4.mul(cap, tanh(f32x4.div(x, cap)));
}

/** The first `count` (0…3) f32 from `address`, zeros in the other lanes. */
export function loadPart(address: usize, count: i32): v128 {
  let x = f32x4.splat(0);
  if (count > 0) x = v128.load32_lane(address, x, 0);
  if (count > 1) x = v128.load32_lane(address + 4, x, 1);
  if (count > 2) x = v128.load32_lane(address + 8, x, 2);
  return x;
}

/** Writes the first `count` (0…3) lanes to `address`. */
export function storePart(address: usize, x: v128, count: i32): void {
  if (count > 0) v128.store32_lane(address, x, 0);
  if (count > 1) v128.store32_lane(address + 4, x, 1);
  if (count > 2) v128.store32_lane(address + 8, x, 2);
}

/** The tree that ends sum16: lanes i and i+8, i+4, i+2, i+1. `a`…`d` hold lanes 0…3, 4…7, 8…11, 12…15. */
export function join16(a: v128, b: v128, c: v128, d: v128): f32 {
  const t = f32x4.add(f32x4.add(a, c), f32x4.add(b, d));
  const u = f32x4.add(t, v128.shuffle<u32>(t, t, 2, 3, 2, 3));
  return f32x4.extract_lane(u, 0) + f32x4.extract_lane(u, 1);
}

/**
 * sum16 of n f32 values.
 * A last group is filled up with +0, which changes no lane: a lane that starts at +0 never becomes −0.
 */
export function sum16(x: usize, n: i32): f32 {
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  let left = n;
  for (; left >= 16; left -= 16, x += 64) {
    a = f32x4.add(a, v128.load(x));
    b = f32x4.add(b, v128.load(x, 16));
    c = f32x4.add(c, v128.load(x, 32));
    d = f32x4.add(d, v128.load(x, 48));
  }
  if (left > 0) {
    a = f32x4.add(a, group(x, left));
    b = f32x4.add(b, group(x + 16, left - 4));
    c = f32x4.add(c, group(x + 32, left - 8));
    d = f32x4.add(d, group(x + 48, left - 12));
  }
  return join16(a, b, c, d);
}

/** sum16 of (x[i] − mean)², n values; a mean of 0 gives the squares themselves. */
export function sumSquares16(x: usize, n: i32, mean: f32): f32 {
  const m = f32x4.splat(mean);
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  let left = n;
  for (; left >= 16; left -= 16, x += 64) {
    a = f32x4.add(a, square(f32x4.sub(v128.load(x), m)));
    b = f32x4.add(b, square(f32x4.sub(v128.load(x, 16), m)));
    c = f32x4.add(c, square(f32x4.sub(v128.load(x, 32), m)));
    d = f32x4.add(d, square(f32x4.sub(v128.load(x, 48), m)));
  }
  if (left > 0) {
    a = f32x4.add(a, square(centred(x, left, m)));
    b = f32x4.add(b, square(centred(x + 16, left - 4, m)));
    c = f32x4.add(c, square(centred(x + 32, left - 8, m)));
    d = f32x4.add(d, square(centred(x + 48, left - 12, m)));
  }
  return join16(a, b, c, d);
}

/** Up to four of `left` values, zeros beyond. */
function group(x: usize, left: i32): v128 {
  return left >= 4 ? v128.load(x) : loadPart(x, left);
}

/** Up to four of `left` values less m, zeros beyond. */
function centred(x: usize, left: i32, m: v128): v128 {
  if (left >= 4) return f32x4.sub(v128.load(x), m);
  const lanes = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(left));
  return v128.and(f32x4.sub(loadPart(x, left), m), lanes);
}

function square(x: v128): v128 {
  return f32x4.mul(x, x);
}
