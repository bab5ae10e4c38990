// Math.exp and Math.log may differ in the last bit from one JavaScript engine to the next. What a token
// depends on is computed here, from operations that IEEE 754 fixes, so that a seed replays everywhere.

const f32 = new Float32Array(1);
const bits = new Int32Array(f32.buffer);

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
