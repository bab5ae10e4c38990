// binary16 and bfloat16 to f32, one and four at a time. (AssemblyScript)

/**
 * The f32 value of 16 binary16 bits. Exponent and fraction move to their places in an f32 and 2^112 makes up
 * for the difference of the biases (127 − 15): exact, subnormals too. Exponent field 31 counts as an ordinary
 * exponent, as docs/numerics.md says.
 */
// @ts-ignore: decorator
@inline
export function f16(half: u32): f32 {
  const magnitude = reinterpret<f32>((half & 0x7fff) << 13) * <f32>5192296858534827628530496329220096.0;
  return reinterpret<f32>(reinterpret<u32>(magnitude) | ((half & 0x8000) << 16));
}

/** As `f16`, for the four halves in the low 16 bits of each lane. */
// @ts-ignore: decorator
@inline
export function f16x4(halves: v128): v128 {
  const magnitude = f32x4.mul(
    i32x4.shl(v128.and(halves, i32x4.splat(0x7fff)), 13),
    f32x4.splat(<f32>5192296858534827628530496329220096.0),
  );
  return v128.or(magnitude, i32x4.shl(v128.and(halves, i32x4.splat(0x8000)), 16));
}

/** The f32 value of 16 bfloat16 bits: they are the upper half of an f32. */
// @ts-ignore: decorator
@inline
export function bf16(half: u32): f32 {
  return reinterpret<f32>(half << 16);
}
