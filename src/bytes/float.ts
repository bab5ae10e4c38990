// The small floating-point formats of model files. Source: IEEE 754-2019 for binary16 and its rounding;
// OCP Microscaling Formats (MX) v1.0 for E8M0; bfloat16 is the upper half of an f32.

const f32 = new Float32Array(1);
const bits = new Uint32Array(f32.buffer);

/** The f32 value of 16 binary16 bits; exact. */
export function f16ToF32(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  // Exponents 1…30 keep their place: 127 − 15 = 112 is the difference of the biases. 31 is infinity or NaN.
  bits[0] = ((half & 0x8000) << 16) | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
  return f32[0];
}

/** The binary16 bits nearest to `value`, ties to even; too large becomes infinity, NaN stays NaN. */
export function f32ToF16(value: number): number {
  f32[0] = value;
  const u = bits[0];
  const sign = (u >>> 16) & 0x8000;
  const magnitude = u & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65,536 and more
  if (magnitude >= 0x38800000) {
    // Normal: 13 fraction bits are dropped; a carry out of the fraction raises the exponent as it should,
    // up to infinity for 65,520 and more.
    const even = (magnitude >>> 13) & 1;
    return sign | ((magnitude - 0x38000000 + 0xfff + even) >>> 13);
  }
  // Subnormal: a multiple of 2^-24. Adding 0.5 to the magnitude puts that multiple into the last bits of an
  // f32 of exponent −1, whose spacing is 2^-24, and rounds to even.
  bits[0] = magnitude;
  f32[0] += 0.5;
  return sign | (bits[0] - 0x3f000000);
}

/** As f32ToF16, but a finite value that is too large becomes ±65,504, so that it stays finite. */
export function f32ToF16Saturating(value: number): number {
  const half = f32ToF16(value);
  return (half & 0x7fff) === 0x7c00 && Number.isFinite(Math.fround(value)) ? (half & 0x8000) | 0x7bff : half;
}

/** The f32 value of 16 bfloat16 bits; exact. */
export function bf16ToF32(half: number): number {
  bits[0] = half << 16;
  return f32[0];
}

/** The bfloat16 bits nearest to `value`, ties to even; NaN stays a (quiet) NaN. */
export function f32ToBf16(value: number): number {
  f32[0] = value;
  const u = bits[0];
  if ((u & 0x7fffffff) > 0x7f800000) return (u >>> 16) | 0x40;
  return (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
}

/** 2^(exponent − 127) as f32, for 0 ≤ exponent ≤ 254; 255 is NaN in the MX format. */
export function e8m0(exponent: number): number {
  return exponent === 255 ? Number.NaN : 2 ** (exponent - 127);
}

/** The f32 value of the binary16 number at byte `at`, little-endian. */
export function f16At(bytes: Uint8Array, at: number): number {
  return f16ToF32(bytes[at] | (bytes[at + 1] << 8));
}
