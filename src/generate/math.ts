// A quicker form of the reference device's exp, equal to it bit by bit, and a logarithm: Math.exp and
// Math.log may differ in the last bit from one JavaScript engine to the next. What a token
// depends on is computed here, from operations that IEEE 754 fixes, so that a seed replays everywhere.

const fround = Math.fround;
const f32 = new Float32Array(1);
const bits = new Int32Array(f32.buffer);

/**
 * eˣ in f32, as docs/numerics.md has it.
 *
 * @param x  f32
 */
export function exp(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x > fround(88.72283)) return Number.POSITIVE_INFINITY;
  if (x < fround(-87.33654)) return 0;
  // Adding and subtracting 1.5 · 2²³ rounds an f32 half to even, as |x · log2 e| stays below 2²².
  const n = fround(fround(fround(x * fround(Math.LOG2E)) + 12582912) - 12582912);
  const r = fround(fround(x - fround(n * 0.693359375)) - fround(n * fround(-2.1219444e-4)));
  let p = fround(1.98756915e-4);
  p = fround(fround(p * r) + fround(1.3981999507e-3));
  p = fround(fround(p * r) + fround(8.3334519073e-3));
  p = fround(fround(p * r) + fround(4.1665795894e-2));
  p = fround(fround(p * r) + fround(1.6666665459e-1));
  p = fround(fround(p * r) + fround(5.0000001201e-1));
  const y = fround(fround(fround(p * fround(r * r)) + r) + 1);
  const half = n >> 1;
  return fround(fround(y * powerOfTwo(half)) * powerOfTwo(n - half));
}

/** 2ⁿ for −126 ≤ n ≤ 127. */
function powerOfTwo(n: number): number {
  bits[0] = (n + 127) << 23;
  return f32[0];
}

/**
 * Natural logarithm of an f32, in binary64, within 4e-16 of its magnitude.
 *
 * x = m · 2ᵉ with √½ ≤ m < √2; with s = (m − 1) / (m + 1), |s| < 0.1716, log m = 2 (s + s³/3 + s⁵/5 + …).
 * The first term left out, s²³/23, is below 2e-19.
 *
 * @param x  rounded to f32 first; 0 gives −Infinity, a negative x NaN
 */
export function log(x: number): number {
  f32[0] = x;
  if (f32[0] === 0) return Number.NEGATIVE_INFINITY;
  if (!(f32[0] > 0) || f32[0] === Number.POSITIVE_INFINITY) return f32[0] < 0 ? Number.NaN : f32[0];
  let exponent = 0;
  if (bits[0] < 0x00800000) {
    // Subnormal: made normal.
    f32[0] *= 2 ** 24;
    exponent = -24;
  }
  // 0x3f3504f3 is √½; subtracting it leaves in the exponent field how many doublings x is above it.
  const doublings = (bits[0] - 0x3f3504f3) >> 23;
  exponent += doublings;
  bits[0] -= doublings << 23;
  const m = f32[0];
  const s = (m - 1) / (m + 1);
  const z = s * s;
  let series = 1 / 21;
  for (let odd = 19; odd >= 1; odd -= 2) series = series * z + 1 / odd;
  return 2 * s * series + exponent * Math.LN2;
}
