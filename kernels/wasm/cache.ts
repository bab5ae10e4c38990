// The key-value cache: [layer][page][key or value][head][position in the page], one row of headWidth values
// per position, so that what a head reads of a page lies together. f16 rows are headWidth halves; q8 rows are
// headWidth codes (i8), then headWidth/32 scales (f32).
import { aRow, bRow, word } from "./call";
import {
  cache,
  cacheLayerPages,
  cachePageBytes,
  cacheRowBytes,
  cacheType,
  pagesPerSequence,
  pageTables,
  positions,
  slots,
} from "./control";
import { loadPart } from "./math";

/** Address of the keys (which = 0) or values (1) of head `head` in the page that holds `position`: its position 0. */
export function pageAddress(layer: i32, slot: i32, position: i32, which: i32, head: i32, heads: i32): usize {
  const table = pageTables + ((<usize>slot * <usize>pagesPerSequence) << 2);
  const page = load<i32>(table + (<usize>(position >> 5) << 2));
  const start = cache + (<usize>layer * <usize>cacheLayerPages + <usize>page) * <usize>cachePageBytes;
  return start + <usize>(which * heads + head) * 32 * <usize>cacheRowBytes;
}

/** Writes keys a and values b of tokens [first, last). */
export function kvStore(call: usize, first: i32, last: i32): void {
  const layer = word(call, 8);
  const n = word(call, 9);
  const heads = word(call, 10);
  for (let row = first; row < last; row++) {
    const position = load<i32>(positions + (<usize>row << 2));
    const slot = load<i32>(slots + (<usize>row << 2));
    const within = <usize>(position & 31) * <usize>cacheRowBytes;
    for (let head = 0; head < heads; head++) {
      const at = (<usize>head * <usize>n) << 2;
      storeRow(aRow(call, row) + at, pageAddress(layer, slot, position, 0, head, heads) + within, n);
      storeRow(bRow(call, row) + at, pageAddress(layer, slot, position, 1, head, heads) + within, n);
    }
  }
}

function storeRow(x: usize, out: usize, n: i32): void {
  if (cacheType == 0) storeHalves(x, out, n);
  else storeCodes(x, out, n);
}

/**
 * The rows [from, to) of the page at `rows`, as f32 at `panel`, `stride` bytes apart (a multiple of 64),
 * filled up with zeros.
 */
export function loadRows(panel: usize, stride: usize, rows: usize, from: i32, to: i32, n: i32): void {
  const fill = stride - (<usize>n << 2);
  for (let i = from; i < to; i++) {
    const out = panel + <usize>i * stride;
    const row = rows + <usize>i * <usize>cacheRowBytes;
    if (cacheType == 0) loadHalves(out, row, n);
    else loadCodes(out, row, n);
    if (fill > 0) memory.fill(out + (<usize>n << 2), 0, fill);
  }
}

// ---- f16

function storeHalves(x: usize, out: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4, x += 16, out += 8) {
    const h = toHalves(v128.load(x));
    v128.store64_lane(out, i16x8.narrow_i32x4_u(h, h), 0);
  }
  if (i < n) {
    const h = toHalves(loadPart(x, n - i));
    store<u16>(out, i32x4.extract_lane(h, 0));
    if (n - i > 1) store<u16>(out, i32x4.extract_lane(h, 1), 2);
    if (n - i > 2) store<u16>(out, i32x4.extract_lane(h, 2), 4);
  }
}

/**
 * Four f32 as binary16 bits in four i32, to nearest even; finite values too large become ±65,504.
 * Normal: 13 bits are dropped, a carry raises the exponent. Subnormal: adding 0.5 puts the multiple of 2^−24
 * into the last bits of an f32 whose spacing is 2^−24.
 */
function toHalves(x: v128): v128 {
  const magnitude = v128.and(x, i32x4.splat(0x7fffffff));
  const sign = v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000));
  const even = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  let normal = i32x4.add(i32x4.sub(magnitude, i32x4.splat(0x38000000 - 0xfff)), even);
  normal = i32x4.min_s(i32x4.shr_u(normal, 13), i32x4.splat(0x7bff));
  const subnormal = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
  let half = v128.bitselect(normal, subnormal, i32x4.ge_s(magnitude, i32x4.splat(0x38800000)));
  const infinite = i32x4.eq(magnitude, i32x4.splat(0x7f800000));
  const nan = i32x4.gt_s(magnitude, i32x4.splat(0x7f800000));
  half = v128.bitselect(i32x4.splat(0x7c00), half, infinite);
  half = v128.bitselect(i32x4.splat(0x7e00), half, nan);
  return v128.or(half, sign);
}

function loadHalves(out: usize, x: usize, n: i32): void {
  let i = 0;
  for (; i + 8 <= n; i += 8, x += 16, out += 32) {
    const h = v128.load(x);
    v128.store(out, fromHalves(i32x4.extend_low_i16x8_u(h)));
    v128.store(out, fromHalves(i32x4.extend_high_i16x8_u(h)), 16);
  }
  for (; i < n; i++, x += 2, out += 4) {
    store<f32>(out, f32x4.extract_lane(fromHalves(i32x4.splat(load<u16>(x))), 0));
  }
}

/**
 * Four binary16 bit patterns in four i32 as f32, exactly. As an f32, exponent and fraction moved up by 13 bits
 * are 2^112 times too small, subnormals included; exponent 31 gets all bits of the wider exponent.
 */
function fromHalves(h: v128): v128 {
  const moved = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16);
  const special = v128.and(i32x4.ge_s(moved, i32x4.splat(0x0f800000)), i32x4.splat(0x7f800000));
  const value = f32x4.mul(moved, f32x4.splat(5192296858534827628530496329220096.0)); // 2^112
  return v128.or(v128.or(value, special), sign);
}

// ---- q8

/** Quantised per 32 values as activations are (docs/numerics.md). */
function storeCodes(x: usize, out: usize, n: i32): void {
  let scales = out + <usize>n;
  for (let i = 0; i < n; i += 32, x += 128, out += 32, scales += 4) {
    let largest = f32x4.abs(v128.load(x));
    for (let j: usize = 16; j < 128; j += 16) largest = f32x4.max(largest, f32x4.abs(v128.load(x + j)));
    largest = f32x4.max(largest, v128.shuffle<u32>(largest, largest, 2, 3, 2, 3));
    largest = f32x4.max(largest, v128.shuffle<u32>(largest, largest, 1, 1, 1, 1));
    const amax = f32x4.extract_lane(largest, 0);
    let scale: f32 = amax / 127;
    let inverse: f32 = 127 / amax;
    if (!(amax < f32.POSITIVE_INFINITY)) {
      scale = f32.NaN;
      inverse = 0;
    } else if (amax < <f32>1e-30) {
      scale = 0;
      inverse = 0;
    }
    store<f32>(scales, scale);
    const s = f32x4.splat(inverse);
    for (let j: usize = 0; j < 32; j += 8) {
      // NaN · 0 truncates to code 0, as it should.
      const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x + (j << 2)), s)));
      const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x + (j << 2), 16), s)));
      const words = i16x8.narrow_i32x4_s(low, high);
      v128.store64_lane(out + j, i8x16.narrow_i16x8_s(words, words), 0);
    }
  }
}

function loadCodes(out: usize, x: usize, n: i32): void {
  let scales = x + <usize>n;
  for (let i = 0; i < n; i += 32, scales += 4) {
    const scale = v128.load32_splat(scales);
    for (let j = 0; j < 32; j += 8, x += 8, out += 32) {
      const words = v128.load8x8_s(x);
      v128.store(out, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words))));
      v128.store(out, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words))), 16);
    }
  }
}
