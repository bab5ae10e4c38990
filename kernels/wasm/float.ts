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

/**
 * As `f16`, for four. Each lane holds a half with its sign extended to 32 bits, as v128.load16x4_s gives it:
 * moved up by 13 the sign fills bits 28…31, of which only 31 stays.
 */
// @ts-ignore: decorator
@inline
export function f16x4(halves: v128): v128 {
  return f32x4.mul(
    v128.and(i32x4.shl(halves, 13), i32x4.splat(0x8fffe000)),
    f32x4.splat(<f32>5192296858534827628530496329220096.0),
  );
}

/** The f32 value of 16 bfloat16 bits: they are the upper half of an f32. */
// @ts-ignore: decorator
@inline
export function bf16(half: u32): f32 {
  return reinterpret<f32>(half << 16);
}
