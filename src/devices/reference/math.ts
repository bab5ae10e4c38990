/**
 * The functions of docs/numerics.md, literally: every operation rounded to f32 on its own.
 * A double holds any product or sum of two f32 values closely enough that one `fround` gives the
 * correctly rounded f32 result (Figueroa 1995: 53 ≥ 2 · 24 + 2).
 */
export const f32 = Math.fround;

const lanes = new Float32Array(16);

/** Joins the sixteen lanes by the contract's tree. */
function join(): number {
  for (let half = 8; half > 0; half >>= 1) {
    for (let i = 0; i < half; i++) lanes[i] = lanes[i] + lanes[i + half];
  }
  return lanes[0];
}

/** Σ x[start…start+n) in sixteen lanes. */
export function sum16(x: Float32Array, start: number, n: number): number {
  lanes.fill(0);
  for (let i = 0; i < n; i++) lanes[i & 15] = lanes[i & 15] + x[start + i];
  return join();
}

/** Σ a[i] · b[i] in sixteen lanes, each product rounded before it is added. */
export function dot16(a: Float32Array, aStart: number, b: Float32Array, bStart: number, n: number): number {
  lanes.fill(0);
  for (let i = 0; i < n; i++) lanes[i & 15] = lanes[i & 15] + f32(a[aStart + i] * b[bStart + i]);
  return join();
}

/** To the nearest whole number, ties to even; for |x| < 2²². */
export function roundHalfEven(x: number): number {
  const magic = 12582912; // 1.5 · 2²³: adding it leaves no bits behind the point
  return f32(f32(x + magic) - magic);
}

const log2e = f32(Math.LOG2E); // 1.44269504
const ln2High = f32(0.693359375);
const ln2Low = f32(-2.1219444e-4);
const expLargest = f32(88.72283);
const expSmallest = f32(-87.33654);

/** eˣ. Source of the coefficients: Cephes expf (Moshier). */
export function exp(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x > expLargest) return Infinity;
  if (x < expSmallest) return 0;
  const n = roundHalfEven(f32(x * log2e));
  const r = f32(f32(x - f32(n * ln2High)) - f32(n * ln2Low));
  let p = f32(1.98756915e-4);
  p = f32(f32(p * r) + f32(1.3981999507e-3));
  p = f32(f32(p * r) + f32(8.3334519073e-3));
  p = f32(f32(p * r) + f32(4.1665795894e-2));
  p = f32(f32(p * r) + f32(1.6666665459e-1));
  p = f32(f32(p * r) + f32(5.0000001201e-1));
  const y = f32(f32(f32(p * f32(r * r)) + r) + 1);
  const half = n >> 1;
  return f32(f32(y * powerOfTwo(half)) * powerOfTwo(n - half));
}

const power = new Float32Array(1);
const powerBits = new Int32Array(power.buffer);

/** 2ⁿ for −126 ≤ n ≤ 127, from its bits: ECMAScript leaves the precision of ** open. */
function powerOfTwo(n: number): number {
  powerBits[0] = (n + 127) << 23;
  return power[0];
}

export function silu(x: number): number {
  return f32(x / f32(1 + exp(-x)));
}

export function tanh(x: number): number {
  return f32(1 - f32(2 / f32(exp(f32(2 * x)) + 1)));
}

const geluInner = f32(0.79788456);
const geluCubic = f32(0.044715);

/** x · Φ(x) in its tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415). */
export function gelu(x: number): number {
  const inner = f32(geluInner * f32(x + f32(f32(geluCubic * x) * f32(x * x))));
  return f32(f32(0.5 * x) * f32(1 + tanh(inner)));
}

export function softcap(x: number, cap: number): number {
  return f32(cap * tanh(f32(x / cap)));
}

const sinCoefficients = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(f32);
const cosCoefficients = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(f32);
const halfPiHigh = 1.5707963267341256;
const halfPiLow = 6.077100506506192e-11;

/** cos and sin of position · frequency; the range is reduced in f64, the rest is f32 (Cephes sinf, cosf). */
export function rotation(position: number, frequency: number): [cos: number, sin: number] {
  const angle = position * frequency;
  const turns = angle * (2 / Math.PI);
  const below = Math.floor(turns);
  const over = turns - below;
  const q = over > 0.5 || (over === 0.5 && below % 2 !== 0) ? below + 1 : below;
  const r = f32(angle - q * halfPiHigh - q * halfPiLow);
  const z = f32(r * r);
  let s = sinCoefficients[0];
  s = f32(f32(s * z) + sinCoefficients[1]);
  s = f32(f32(s * z) + sinCoefficients[2]);
  const sin = f32(f32(f32(s * z) * r) + r);
  let c = cosCoefficients[0];
  c = f32(f32(c * z) + cosCoefficients[1]);
  c = f32(f32(c * z) + cosCoefficients[2]);
  const cos = f32(f32(f32(c * f32(z * z)) - f32(0.5 * z)) + 1);
  switch (((q % 4) + 4) % 4) {
    case 0:
      return [cos, sin];
    case 1:
      return [-sin, cos];
    case 2:
      return [-cos, -sin];
    default:
      return [sin, -cos];
  }
}
