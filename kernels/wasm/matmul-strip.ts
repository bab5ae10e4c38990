// Strips (four weight rows) × activation rows, integer formats. (AssemblyScript)
//
// Of each block of 32 the codes are unpacked once into registers, then every activation row in turn is multiplied
// with them; a single row takes two strips instead. Lane r of every vector belongs to weight row r: a block's result
// needs no sums across lanes.
//
// Loops that must run once are do … while: V8 moves work out of a loop only where the loop cannot be skipped.
import { codeBits, codeOffset, codesAt } from "./formats/codes";
import { q8Block, q8Codes, q8Sums } from "./formats/q8-row";
import { hasMinima, minimumOf, minimumPair, partScale, scaleGroup, scaleOf, scalePair } from "./formats/scales";
import { blockValues, bodiesAt, bodyBytes, headBytes } from "./formats/shape";

/** Activation rows that share one unpacking; their q8 rows should stay in the second-level cache. */
// @ts-ignore: decorator
@inline
export const rowsTogether = 64;

/** Bytes of scratch: for each row four f32 sums and four i32 dots of half a block. */
// @ts-ignore: decorator
@inline
export const stripScratch: usize = 64 * 32;

/**
 * The sums of one strip: docs/numerics.md, "Integer weights × activations".
 *
 * sums    rows × 4 f32, overwritten; then rows × 4 i32 for the halves
 * a       q8 rows (formats/q8-row.ts), aStride bytes apart
 * rows    1 … rowsTogether
 * strip   a packed strip (formats/shape.ts)
 * k       width
 */
export function stripSums<F>(sums: usize, a: usize, aStride: usize, rows: i32, strip: usize, k: i32): void {
  const blocks = k / blockValues<F>();
  const end = sums + (<usize>rows << 4);
  for (let p = sums; p < end; p += 16) v128.store(p, f32x4.splat(0));
  let head = strip;
  let body = strip + bodiesAt<F>(k);
  for (let b = 0; b < blocks; b++) {
    const d = scaleOf<F>(head);
    const dmin = hasMinima<F>() ? minimumOf<F>(head) : d;
    if (blockValues<F>() == 32) {
      partOfMany<F>(sums, end, a, aStride, d, dmin, head, body, 0, 0);
      a += q8Block;
    } else {
      for (let n: usize = 0; n < 2; n++) {
        partOfMany<F>(sums, end, a, aStride, d, dmin, head, body, n, 0);
        partOfMany<F>(sums, end, a + q8Block, aStride, d, dmin, head, body, n, 1);
        partOfMany<F>(sums, end, a + q8Block * 2, aStride, d, dmin, head, body, n, 2);
        partOfMany<F>(sums, end, a + q8Block * 3, aStride, d, dmin, head, body, n, 3);
        a += q8Block * 4;
      }
    }
    head += headBytes<F>();
    body += bodyBytes<F>();
  }
}

/**
 * The sums of two strips for one row: two streams of weights keep more of the memory's requests in flight than one.
 *
 * sums   2 × 4 f32, overwritten
 * a      a q8 row
 * strip  a packed strip; the other lies `apart` bytes after it (0: the same twice)
 */
export function rowSums<F>(sums: usize, a: usize, strip: usize, apart: usize, k: i32): void {
  v128.store(sums, f32x4.splat(0));
  v128.store(sums, f32x4.splat(0), 16);
  let head = strip;
  let body = strip + bodiesAt<F>(k);
  const end = a + <usize>(k >> 5) * q8Block;
  do {
    const d = scaleOf<F>(head);
    const dmin = hasMinima<F>() ? minimumOf<F>(head) : d;
    const d2 = scaleOf<F>(head + apart);
    const dmin2 = hasMinima<F>() ? minimumOf<F>(head + apart) : d2;
    if (blockValues<F>() == 32) {
      partOfOne<F>(sums, a, d, dmin, head, body, 0, 0);
      partOfOne<F>(sums + 16, a, d2, dmin2, head + apart, body + apart, 0, 0);
      a += q8Block;
    } else {
      let n: usize = 0;
      do {
        partOfOne<F>(sums, a, d, dmin, head, body, n, 0);
        partOfOne<F>(sums + 16, a, d2, dmin2, head + apart, body + apart, n, 0);
        partOfOne<F>(sums, a + q8Block, d, dmin, head, body, n, 1);
        partOfOne<F>(sums + 16, a + q8Block, d2, dmin2, head + apart, body + apart, n, 1);
        partOfOne<F>(sums, a + q8Block * 2, d, dmin, head, body, n, 2);
        partOfOne<F>(sums + 16, a + q8Block * 2, d2, dmin2, head + apart, body + apart, n, 2);
        partOfOne<F>(sums, a + q8Block * 3, d, dmin, head, body, n, 3);
        partOfOne<F>(sums + 16, a + q8Block * 3, d2, dmin2, head + apart, body + apart, n, 3);
        a += q8Block * 4;
        n += 1;
      } while (n < 2);
    }
    head += headBytes<F>();
    body += bodyBytes<F>();
  } while (a < end);
}

/** sum + (da · d) · f32(dot), then − (da · dmin) · f32(low). */
// @ts-ignore: decorator
@inline
function addPart<F>(sum: v128, a: usize, d: v128, dmin: v128, dot: v128, minima: v128): v128 {
  const da = v128.load32_splat(a);
  const added = f32x4.add(sum, f32x4.mul(f32x4.mul(da, d), f32x4.convert_i32x4_s(dot)));
  if (!hasMinima<F>()) return added;
  const low = i32x4.dot_i16x8_s(v128.load32_splat(a, q8Sums), minima);
  return f32x4.sub(added, f32x4.mul(f32x4.mul(da, dmin), f32x4.convert_i32x4_s(low)));
}

/** Whether all 32 codes of a row fit eight registers as unsigned bytes below 64. */
// @ts-ignore: decorator
@inline
function whole<F>(): bool {
  return RELAXED && codeBits<F>() < 8;
}

/**
 * One part of 32 values × one activation row. The sum goes through memory: the store makes V8 finish a part before
 * it loads the next; left to itself it loads all parts first and runs out of registers.
 */
// @ts-ignore: decorator
@inline
function partOfOne<F>(
  sums: usize, a: usize, d: v128, dmin: v128, head: usize, body: usize, n: usize, j: i32,
): void {
  d = partScale<F>(d, body, n, j);
  const scales = scaleGroup<F>() ? scalePair<F>(head, body, n, j) : d;
  const minima = hasMinima<F>() ? minimumPair<F>(body, n, j) : d;
  const first = firstScale<F>(scales);
  const second = secondScale<F>(scales);
  const offset = offsetPair<F>(scales);
  let dot: v128;
  if (whole<F>()) {
    dot = dotWhole<F>(
      codesAt<F>(body, n, j, 0), codesAt<F>(body, n, j, 1), codesAt<F>(body, n, j, 2), codesAt<F>(body, n, j, 3),
      codesAt<F>(body, n, j, 4), codesAt<F>(body, n, j, 5), codesAt<F>(body, n, j, 6), codesAt<F>(body, n, j, 7),
      first, second, offset, a,
    );
  } else {
    dot = i32x4.add(half<F>(body, n, j, 0, first, offset, a), half<F>(body, n, j, 1, second, offset, a));
  }
  v128.store(sums, addPart<F>(v128.load(sums), a, d, dmin, dot, minima));
}

/** One part of 32 values × all activation rows; `end` is where `sums` end and the halves' dots begin. */
// @ts-ignore: decorator
@inline
function partOfMany<F>(
  sums: usize, end: usize, a: usize, aStride: usize, d: v128, dmin: v128, head: usize, body: usize, n: usize,
  j: i32,
): void {
  d = partScale<F>(d, body, n, j);
  const scales = scaleGroup<F>() ? scalePair<F>(head, body, n, j) : d;
  const minima = hasMinima<F>() ? minimumPair<F>(body, n, j) : d;
  const first = firstScale<F>(scales);
  const second = secondScale<F>(scales);
  const offset = offsetPair<F>(scales);
  if (whole<F>()) {
    const c0 = codesAt<F>(body, n, j, 0);
    const c1 = codesAt<F>(body, n, j, 1);
    const c2 = codesAt<F>(body, n, j, 2);
    const c3 = codesAt<F>(body, n, j, 3);
    const c4 = codesAt<F>(body, n, j, 4);
    const c5 = codesAt<F>(body, n, j, 5);
    const c6 = codesAt<F>(body, n, j, 6);
    const c7 = codesAt<F>(body, n, j, 7);
    do {
      const dot = dotWhole<F>(c0, c1, c2, c3, c4, c5, c6, c7, first, second, offset, a);
      v128.store(sums, addPart<F>(v128.load(sums), a, d, dmin, dot, minima));
      a += aStride;
      sums += 16;
    } while (sums < end);
    return;
  }
  const halves = end - sums;
  {
    const w0 = wideAt<F>(body, n, j, 0);
    const w1 = wideAt<F>(body, n, j, 1);
    const w2 = wideAt<F>(body, n, j, 2);
    const w3 = wideAt<F>(body, n, j, 3);
    const w4 = wideAt<F>(body, n, j, 4);
    const w5 = wideAt<F>(body, n, j, 5);
    const w6 = wideAt<F>(body, n, j, 6);
    const w7 = wideAt<F>(body, n, j, 7);
    let row = a;
    let p = end;
    do {
      v128.store(p, dotHalf<F>(w0, w1, w2, w3, w4, w5, w6, w7, 0, first, offset, row));
      row += aStride;
      p += 16;
    } while (p < end + halves);
  }
  const w0 = wideAt<F>(body, n, j, 8);
  const w1 = wideAt<F>(body, n, j, 9);
  const w2 = wideAt<F>(body, n, j, 10);
  const w3 = wideAt<F>(body, n, j, 11);
  const w4 = wideAt<F>(body, n, j, 12);
  const w5 = wideAt<F>(body, n, j, 13);
  const w6 = wideAt<F>(body, n, j, 14);
  const w7 = wideAt<F>(body, n, j, 15);
  do {
    const dot = i32x4.add(
      v128.load(sums + halves),
      dotHalf<F>(w0, w1, w2, w3, w4, w5, w6, w7, 1, second, offset, a),
    );
    v128.store(sums, addPart<F>(v128.load(sums), a, d, dmin, dot, minima));
    a += aStride;
    sums += 16;
  } while (sums < end);
}

// @ts-ignore: decorator
@inline
function half<F>(body: usize, n: usize, j: i32, h: i32, scale: v128, offset: v128, a: usize): v128 {
  return dotHalf<F>(
    wideAt<F>(body, n, j, h * 8), wideAt<F>(body, n, j, h * 8 + 1),
    wideAt<F>(body, n, j, h * 8 + 2), wideAt<F>(body, n, j, h * 8 + 3),
    wideAt<F>(body, n, j, h * 8 + 4), wideAt<F>(body, n, j, h * 8 + 5),
    wideAt<F>(body, n, j, h * 8 + 6), wideAt<F>(body, n, j, h * 8 + 7),
    h, scale, offset, a,
  );
}

// Integer scales, as i16 pairs where dotWhole and dotHalf want them.

/** The scale of the first sixteen values in both halves of each lane. */
// @ts-ignore: decorator
@inline
function firstScale<F>(scales: v128): v128 {
  return scaleGroup<F>() == 16
    ? i8x16.shuffle(scales, scales, 0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13)
    : scales;
}

// @ts-ignore: decorator
@inline
function secondScale<F>(scales: v128): v128 {
  return scaleGroup<F>() == 16
    ? i8x16.shuffle(scales, scales, 2, 3, 2, 3, 6, 7, 6, 7, 10, 11, 10, 11, 14, 15, 14, 15)
    : scales;
}

/** −offset · scale: times the activations' sums it corrects the dots of unsigned codes. */
// @ts-ignore: decorator
@inline
function offsetPair<F>(scales: v128): v128 {
  const offset = codeBits<F>() == 8 ? 128 : codeOffset<F>();
  if (!scaleGroup<F>()) return i16x8.splat(<i16>-offset);
  return i16x8.mul(scales, i16x8.splat(<i16>-offset));
}

/** The dots of the 16-bit sums in v, scaled. */
// @ts-ignore: decorator
@inline
function widen<F>(v: v128, scale: v128): v128 {
  return scaleGroup<F>() ? i32x4.dot_i16x8_s(v, scale) : i32x4.extadd_pairwise_i16x8_s(v);
}

// Relaxed SIMD. A dot of codes c ≤ 15 with activations |a| ≤ 127 leaves |2 · 15 · 127| = 3,810 in each 16-bit lane,
// so eight fit (30,480); of codes ≤ 31 four (31,496), of codes ≤ 63 two (32,004). The second operand must be 0…127.

/** The dot of four activations in every lane with a unit. */
// @ts-ignore: decorator
@inline
function unitDot(activations: v128, unit: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(activations, unit);
}

// Sums run in a chain, not a tree: V8 then orders the loads between the sums, and needs fewer registers.

// @ts-ignore: decorator
@inline
function dotWhole<F>(
  c0: v128, c1: v128, c2: v128, c3: v128, c4: v128, c5: v128, c6: v128, c7: v128,
  first: v128, second: v128, offset: v128, a: usize,
): v128 {
  let dot: v128;
  if (codeBits<F>() == 6) {
    let t = unitDot(v128.load32_splat(a, q8Codes), c0);
    t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 4), c1));
    dot = widen<F>(t, first);
    t = unitDot(v128.load32_splat(a, q8Codes + 8), c2);
    t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 12), c3));
    dot = i32x4.add(dot, widen<F>(t, first));
    t = unitDot(v128.load32_splat(a, q8Codes + 16), c4);
    t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 20), c5));
    dot = i32x4.add(dot, widen<F>(t, second));
    t = unitDot(v128.load32_splat(a, q8Codes + 24), c6);
    t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 28), c7));
    dot = i32x4.add(dot, widen<F>(t, second));
  } else {
    let t = unitDot(v128.load32_splat(a, q8Codes), c0);
    t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 4), c1));
    t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 8), c2));
    t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 12), c3));
    if (codeBits<F>() == 5 || scaleGroup<F>() == 16) {
      dot = widen<F>(t, first);
      t = unitDot(v128.load32_splat(a, q8Codes + 16), c4);
    } else {
      t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 16), c4));
    }
    t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 20), c5));
    t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 24), c6));
    t = i16x8.add(t, unitDot(v128.load32_splat(a, q8Codes + 28), c7));
    if (codeBits<F>() == 5 || scaleGroup<F>() == 16) dot = i32x4.add(dot, widen<F>(t, second));
    else dot = widen<F>(t, first);
  }
  if (!codeOffset<F>()) return dot;
  return i32x4.add(dot, i32x4.dot_i16x8_s(v128.load32_splat(a, q8Sums), offset));
}

/**
 * Vector i of the sixteen that dotHalf takes, eight for each half of a part.
 * Relaxed: signed codes plus 128; of four units first the upper nibbles, then the lower ones.
 * Plain: signed codes as i16; of each unit first values 0 and 2, then 1 and 3.
 */
// @ts-ignore: decorator
@inline
function wideAt<F>(body: usize, n: usize, j: i32, i: i32): v128 {
  if (RELAXED) {
    const codes = v128.xor(codesAt<F>(body, n, j, ((i >> 3) << 2) + (i & 3)), i8x16.splat(-128));
    return v128.and(i & 4 ? codes : i16x8.shr_u(codes, 4), i8x16.splat(15));
  }
  const codes = codesAt<F>(body, n, j, i >> 1);
  if (codeBits<F>() == 8) return i16x8.shr_s(i & 1 ? codes : i16x8.shl(codes, 8), 8);
  const values = i & 1 ? i16x8.shr_u(codes, 8) : v128.and(codes, i16x8.splat(255));
  return codeOffset<F>() ? i16x8.sub(values, i16x8.splat(<i16>codeOffset<F>())) : values;
}

/** The scaled dot of half a part, from eight vectors of wideAt. */
// @ts-ignore: decorator
@inline
function dotHalf<F>(
  w0: v128, w1: v128, w2: v128, w3: v128, w4: v128, w5: v128, w6: v128, w7: v128,
  h: usize, scale: v128, offset: v128, a: usize,
): v128 {
  const at = a + h * 16;
  if (RELAXED) {
    // code + 128 = 16 · upper + lower
    let activations = v128.load32_splat(at, q8Codes);
    let upper = unitDot(activations, w0);
    let lower = unitDot(activations, w4);
    activations = v128.load32_splat(at, q8Codes + 4);
    upper = i16x8.add(upper, unitDot(activations, w1));
    lower = i16x8.add(lower, unitDot(activations, w5));
    activations = v128.load32_splat(at, q8Codes + 8);
    upper = i16x8.add(upper, unitDot(activations, w2));
    lower = i16x8.add(lower, unitDot(activations, w6));
    activations = v128.load32_splat(at, q8Codes + 12);
    upper = i16x8.add(upper, unitDot(activations, w3));
    lower = i16x8.add(lower, unitDot(activations, w7));
    const dot = i32x4.add(i32x4.shl(widen<F>(upper, scale), 4), widen<F>(lower, scale));
    if (h == 1) return dot;
    return i32x4.add(dot, i32x4.dot_i16x8_s(v128.load32_splat(a, q8Sums), offset));
  }
  // Sixteen activations as i16, values 1 and 2 of every four swapped (quantize.ts).
  const codes = v128.load(at, q8Codes);
  const low = i16x8.extend_low_i8x16_s(codes);
  let dot = i32x4.dot_i16x8_s(v128.shuffle<i32>(low, low, 0, 0, 0, 0), w0);
  dot = i32x4.add(dot, i32x4.dot_i16x8_s(v128.shuffle<i32>(low, low, 1, 1, 1, 1), w1));
  dot = i32x4.add(dot, i32x4.dot_i16x8_s(v128.shuffle<i32>(low, low, 2, 2, 2, 2), w2));
  dot = i32x4.add(dot, i32x4.dot_i16x8_s(v128.shuffle<i32>(low, low, 3, 3, 3, 3), w3));
  const high = i16x8.extend_high_i8x16_s(codes);
  dot = i32x4.add(dot, i32x4.dot_i16x8_s(v128.shuffle<i32>(high, high, 0, 0, 0, 0), w4));
  dot = i32x4.add(dot, i32x4.dot_i16x8_s(v128.shuffle<i32>(high, high, 1, 1, 1, 1), w5));
  dot = i32x4.add(dot, i32x4.dot_i16x8_s(v128.shuffle<i32>(high, high, 2, 2, 2, 2), w6));
  dot = i32x4.add(dot, i32x4.dot_i16x8_s(v128.shuffle<i32>(high, high, 3, 3, 3, 3), w7));
  if (!scaleGroup<F>()) return dot;
  return i32x4.mul(dot, i32x4.shr_s(i32x4.shl(scale, 16), 16));
}
