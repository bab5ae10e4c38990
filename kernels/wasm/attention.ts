// Attention over the paged cache, in two passes per block of rows: all scores, softmax, then the weighted values.
// One chunk is up to 16 rows and one key head. A page's keys (and values) are turned into f32 once for all those
// rows and for the group of query heads that share them; the order of every sum stays that of one row alone.
// Where there are fewer chunks than threads, the group is split, and its parts turn the same page into f32 each.
import { aRow, floatWord, outRow, word } from "./call";
import { positions, scratch, scratchBytes, slots } from "./control";
import { loadRows, pageAddress } from "./cache";
import { exp, join16, softcap, sum16 } from "./math";

/** Rows of a chunk; src/devices/wasm/memory.ts reserves scratch for them. */
export const attentionRows: i32 = 16;

// The call at hand, set by `attention`.
let layer: i32 = 0;
let n: i32 = 0;
let kvHeads: i32 = 0;
/** Query heads of this chunk, and the first of them. */
let group: i32 = 0;
let firstHead: i32 = 0;
let window: i32 = 0;
let scale: v128 = f32x4.splat(0);
let cap: v128 = f32x4.splat(0);
let capped: bool = false;
/** Bytes of one padded f32 row of a head; a multiple of 64. */
let stride: usize = 0;

/** Rows [first, last) (at most attentionRows) of key head `head`: part `part` of `parts` of its query heads. */
export function attention(call: usize, first: i32, last: i32, head: i32, part: i32, parts: i32): void {
  layer = word(call, 8);
  n = word(call, 9);
  kvHeads = word(call, 11);
  const all = word(call, 10) / kvHeads;
  const size = (all + parts - 1) / parts;
  firstHead = head * all + part * size;
  group = min(size, all - part * size);
  if (group <= 0) return;
  window = word(call, 12);
  scale = f32x4.splat(floatWord(call, 13));
  cap = f32x4.splat(floatWord(call, 14));
  capped = floatWord(call, 14) != 0;
  stride = <usize>((n + 15) & ~15) << 2;
  // As many neighbours of one sequence together as the scratch has room for; at least one always fits.
  for (let row = first; row < last; ) {
    let end = row + 1;
    while (end < last && slotOf(end) == slotOf(row) && bytesFor(row, end + 1) <= <usize>scratchBytes) end++;
    block(call, row, end, head);
    row = end;
  }
}

function slotOf(row: i32): i32 {
  return load<i32>(slots + (<usize>row << 2));
}

function positionOf(row: i32): i32 {
  return load<i32>(positions + (<usize>row << 2));
}

/** The first position that a row sees. */
function firstOf(row: i32): i32 {
  return window > 0 ? max(0, positionOf(row) - window + 1) : 0;
}

/** Bytes of one row's and head's scores, filled up to 16 values. */
function scoreBytes(first: i32, last: i32): usize {
  return <usize>((positionOf(last - 1) - firstOf(first) + 16) & ~15) << 2;
}

/** Scratch that rows [first, last) need: a panel of 32 rows, then per row and head a query, an output and scores. */
function bytesFor(first: i32, last: i32): usize {
  return 32 * stride + <usize>((last - first) * group) * (2 * stride + scoreBytes(first, last));
}

function block(call: usize, first: i32, last: i32, head: i32): void {
  const panel = scratch;
  const lines = (last - first) * group; // one line: one row and one query head
  const queries = panel + 32 * stride;
  const outputs = queries + <usize>lines * stride;
  const scores = outputs + <usize>lines * stride;
  const scoreStride = scoreBytes(first, last);
  const bytes = <usize>n << 2;
  for (let line = 0; line < lines; line++) {
    const query = queries + <usize>line * stride;
    const from = aRow(call, first + line / group) + <usize>(firstHead + (line % group)) * bytes;
    memory.copy(query, from, bytes);
    memory.fill(query + bytes, 0, stride - bytes);
  }
  memory.fill(outputs, 0, <usize>lines * stride);

  const slot = slotOf(first);
  const start = firstOf(first);
  const end = positionOf(last - 1) + 1;
  for (let page = start & ~31; page < end; page += 32) {
    const low = max(start, page);
    const high = min(end, page + 32);
    loadRows(panel, stride, pageAddress(layer, slot, page, 0, head, kvHeads), low - page, high - page, n);
    for (let line = 0; line < lines; line++) {
      const row = first + line / group;
      const from = max(low, firstOf(row));
      const to = min(high, positionOf(row) + 1);
      if (from >= to) continue;
      const out = scores + <usize>line * scoreStride + (<usize>(from - firstOf(row)) << 2);
      scorePage(out, queries + <usize>line * stride, panel + <usize>(from - page) * stride, to - from);
    }
  }
  for (let line = 0; line < lines; line++) {
    const row = first + line / group;
    softmax(scores + <usize>line * scoreStride, positionOf(row) - firstOf(row) + 1);
  }
  for (let page = start & ~31; page < end; page += 32) {
    const low = max(start, page);
    const high = min(end, page + 32);
    loadRows(panel, stride, pageAddress(layer, slot, page, 1, head, kvHeads), low - page, high - page, n);
    for (let line = 0; line < lines; line++) {
      const row = first + line / group;
      const from = max(low, firstOf(row));
      const to = min(high, positionOf(row) + 1);
      if (from >= to) continue;
      const p = scores + <usize>line * scoreStride + (<usize>(from - firstOf(row)) << 2);
      addValues(outputs + <usize>line * stride, p, panel + <usize>(from - page) * stride, to - from);
    }
  }
  for (let line = 0; line < lines; line++) {
    const row = first + line / group;
    const inverse: f32 = 1 / sum16(scores + <usize>line * scoreStride, positionOf(row) - firstOf(row) + 1);
    const output = outputs + <usize>line * stride;
    for (let i: usize = 0; i < stride; i += 16) {
      v128.store(output + i, f32x4.mul(v128.load(output + i), f32x4.splat(inverse)));
    }
    memory.copy(outRow(call, row) + <usize>(firstHead + (line % group)) * bytes, output, bytes);
  }
}

/** scores[i] = softcap(dot16(query, keys[i]) · scale), `count` keys. Four at a time, so that the tree's steps are vectors. */
function scorePage(out: usize, query: usize, keys: usize, count: i32): void {
  for (; count >= 4; count -= 4, out += 16, keys += 4 * stride) {
    const k1 = keys + stride;
    const k2 = k1 + stride;
    const k3 = k2 + stride;
    // Lanes 0…3 and 8…11, joined; then 4…7 and 12…15; then both.
    let a0 = f32x4.splat(0);
    let a1 = a0;
    let a2 = a0;
    let a3 = a0;
    let c0 = a0;
    let c1 = a0;
    let c2 = a0;
    let c3 = a0;
    for (let i: usize = 0; i < stride; i += 64) {
      const q = v128.load(query + i);
      a0 = f32x4.add(a0, f32x4.mul(q, v128.load(keys + i)));
      a1 = f32x4.add(a1, f32x4.mul(q, v128.load(k1 + i)));
      a2 = f32x4.add(a2, f32x4.mul(q, v128.load(k2 + i)));
      a3 = f32x4.add(a3, f32x4.mul(q, v128.load(k3 + i)));
      const r = v128.load(query + i, 32);
      c0 = f32x4.add(c0, f32x4.mul(r, v128.load(keys + i, 32)));
      c1 = f32x4.add(c1, f32x4.mul(r, v128.load(k1 + i, 32)));
      c2 = f32x4.add(c2, f32x4.mul(r, v128.load(k2 + i, 32)));
      c3 = f32x4.add(c3, f32x4.mul(r, v128.load(k3 + i, 32)));
    }
    const ac0 = f32x4.add(a0, c0);
    const ac1 = f32x4.add(a1, c1);
    const ac2 = f32x4.add(a2, c2);
    const ac3 = f32x4.add(a3, c3);
    a0 = f32x4.splat(0);
    a1 = a0;
    a2 = a0;
    a3 = a0;
    c0 = a0;
    c1 = a0;
    c2 = a0;
    c3 = a0;
    for (let i: usize = 16; i < stride; i += 64) {
      const q = v128.load(query + i);
      a0 = f32x4.add(a0, f32x4.mul(q, v128.load(keys + i)));
      a1 = f32x4.add(a1, f32x4.mul(q, v128.load(k1 + i)));
      a2 = f32x4.add(a2, f32x4.mul(q, v128.load(k2 + i)));
      a3 = f32x4.add(a3, f32x4.mul(q, v128.load(k3 + i)));
      const r = v128.load(query + i, 32);
      c0 = f32x4.add(c0, f32x4.mul(r, v128.load(keys + i, 32)));
      c1 = f32x4.add(c1, f32x4.mul(r, v128.load(k1 + i, 32)));
      c2 = f32x4.add(c2, f32x4.mul(r, v128.load(k2 + i, 32)));
      c3 = f32x4.add(c3, f32x4.mul(r, v128.load(k3 + i, 32)));
    }
    const t0 = f32x4.add(ac0, f32x4.add(a0, c0));
    const t1 = f32x4.add(ac1, f32x4.add(a1, c1));
    const t2 = f32x4.add(ac2, f32x4.add(a2, c2));
    const t3 = f32x4.add(ac3, f32x4.add(a3, c3));
    // Lane j of t0…t3 to lane-wise sums (0 + 2) + (1 + 3).
    const low01 = v128.shuffle<u32>(t0, t1, 0, 4, 1, 5);
    const low23 = v128.shuffle<u32>(t2, t3, 0, 4, 1, 5);
    const high01 = v128.shuffle<u32>(t0, t1, 2, 6, 3, 7);
    const high23 = v128.shuffle<u32>(t2, t3, 2, 6, 3, 7);
    const even = f32x4.add(shuffleLow(low01, low23), shuffleLow(high01, high23));
    const odd = f32x4.add(shuffleHigh(low01, low23), shuffleHigh(high01, high23));
    v128.store(out, finish(f32x4.add(even, odd)));
  }
  for (; count > 0; count--, out += 4, keys += stride) {
    let a = f32x4.splat(0);
    let b = a;
    let c = a;
    let d = a;
    for (let i: usize = 0; i < stride; i += 64) {
      a = f32x4.add(a, f32x4.mul(v128.load(query + i), v128.load(keys + i)));
      b = f32x4.add(b, f32x4.mul(v128.load(query + i, 16), v128.load(keys + i, 16)));
      c = f32x4.add(c, f32x4.mul(v128.load(query + i, 32), v128.load(keys + i, 32)));
      d = f32x4.add(d, f32x4.mul(v128.load(query + i, 48), v128.load(keys + i, 48)));
    }
    store<f32>(out, f32x4.extract_lane(finish(f32x4.splat(join16(a, b, c, d))), 0));
  }
}

function shuffleLow(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(a, b, 0, 1, 4, 5);
}

function shuffleHigh(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(a, b, 2, 3, 6, 7);
}

function finish(dots: v128): v128 {
  const scaled = f32x4.mul(dots, scale);
  return capped ? softcap(scaled, cap) : scaled;
}

/** scores = exp(scores − their largest), `count` of them. */
function softmax(scores: usize, count: i32): void {
  let largest = f32x4.splat(-f32.POSITIVE_INFINITY);
  let i = 0;
  for (; i + 4 <= count; i += 4) largest = f32x4.max(largest, v128.load(scores + (<usize>i << 2)));
  let m = max(
    max(f32x4.extract_lane(largest, 0), f32x4.extract_lane(largest, 1)),
    max(f32x4.extract_lane(largest, 2), f32x4.extract_lane(largest, 3)),
  );
  for (; i < count; i++) m = max(m, load<f32>(scores + (<usize>i << 2)));
  const top = f32x4.splat(m);
  // The values behind the last are room for whole vectors; sum16 does not read them.
  for (i = 0; i < count; i += 4) {
    const at = scores + (<usize>i << 2);
    v128.store(at, exp(f32x4.sub(v128.load(at), top)));
  }
}

/** out += Σ p[t] · values[t], t ascending, one padded row of a head. */
function addValues(out: usize, p: usize, values: usize, count: i32): void {
  let at: usize = 0;
  for (; at + 128 <= stride; at += 128) {
    let y0 = v128.load(out + at);
    let y1 = v128.load(out + at, 16);
    let y2 = v128.load(out + at, 32);
    let y3 = v128.load(out + at, 48);
    let y4 = v128.load(out + at, 64);
    let y5 = v128.load(out + at, 80);
    let y6 = v128.load(out + at, 96);
    let y7 = v128.load(out + at, 112);
    let v = values + at;
    for (let t = 0; t < count; t++, v += stride) {
      const weight = v128.load32_splat(p + (<usize>t << 2));
      y0 = f32x4.add(y0, f32x4.mul(weight, v128.load(v)));
      y1 = f32x4.add(y1, f32x4.mul(weight, v128.load(v, 16)));
      y2 = f32x4.add(y2, f32x4.mul(weight, v128.load(v, 32)));
      y3 = f32x4.add(y3, f32x4.mul(weight, v128.load(v, 48)));
      y4 = f32x4.add(y4, f32x4.mul(weight, v128.load(v, 64)));
      y5 = f32x4.add(y5, f32x4.mul(weight, v128.load(v, 80)));
      y6 = f32x4.add(y6, f32x4.mul(weight, v128.load(v, 96)));
      y7 = f32x4.add(y7, f32x4.mul(weight, v128.load(v, 112)));
    }
    v128.store(out + at, y0);
    v128.store(out + at, y1, 16);
    v128.store(out + at, y2, 32);
    v128.store(out + at, y3, 48);
    v128.store(out + at, y4, 64);
    v128.store(out + at, y5, 80);
    v128.store(out + at, y6, 96);
    v128.store(out + at, y7, 112);
  }
  for (; at < stride; at += 16) {
    let y = v128.load(out + at);
    let v = values + at;
    for (let t = 0; t < count; t++, v += stride) {
      y = f32x4.add(y, f32x4.mul(v128.load32_splat(p + (<usize>t << 2)), v128.load(v)));
    }
    v128.store(out + at, y);
  }
}
