// How quantised activations lie in memory. (AssemblyScript)
//
// A q8 row of n values is n/32 blocks of 40 bytes, so that one pointer reaches all that a block's dots need:
//   0   f32   scale
//   4   i16   sum of codes 0…15; |sum| ≤ 16 · 127
//   6   i16   sum of codes 16…31
//   8   i8    32 codes; where RELAXED is 0, codes 1 and 2 of every four change places: plain SIMD takes
//             weights 0 and 2, then 1 and 3, as pairs of i16 (matmul-strip.ts, wideAt)

// @ts-ignore: decorator
@inline
export const q8Block: usize = 40;

// @ts-ignore: decorator
@inline
export const q8Sums: usize = 4;

// @ts-ignore: decorator
@inline
export const q8Codes: usize = 8;
