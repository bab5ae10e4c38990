// Mixtures of experts: which experts a token takes, their products, and the weighted sum.
import { aRow, bRow, outRow, rowsOf, word } from "./call";
import { scratch, weightAddress, weightExpertBytes, weightFormat } from "./control";
import { exp, loadPart, storePart, sum16 } from "./math";
import { matmulTile } from "./matmul";

/** Rows of one expert that are multiplied together; src/devices/wasm/memory.ts reserves scratch for them. */
export const expertRows: i32 = 16;

/** `used` expert ids (i32) and probabilities (f32) from n router logits, for tokens [first, last). */
export function route(call: usize, first: i32, last: i32): void {
  const n = word(call, 8);
  const used = word(call, 9);
  const normalize = word(call, 10) != 0;
  for (let row = first; row < last; row++) {
    const ids = outRow(call, row);
    const chosen = ids + (<usize>used << 2);
    softmax(aRow(call, row), scratch, n);
    let total: f32 = 0;
    for (let j = 0; j < used; j++) {
      let best = -1;
      let most: f32 = 0;
      for (let e = 0; e < n; e++) {
        // Those already taken hold −1; of equals the first stays.
        const p = load<f32>(scratch + (<usize>e << 2));
        if (best < 0 ? p != -1 : p > most) {
          best = e;
          most = p;
        }
      }
      store<i32>(ids + (<usize>j << 2), best);
      store<f32>(chosen + (<usize>j << 2), most);
      store<f32>(scratch + (<usize>best << 2), -1);
      total += most;
    }
    if (!normalize) continue;
    for (let j = 0; j < used; j++) {
      const at = chosen + (<usize>j << 2);
      store<f32>(at, load<f32>(at) / total);
    }
  }
}

/** y = exp(x − max) · (1 / sum16 of those), n values. */
function softmax(x: usize, y: usize, n: i32): void {
  let m = load<f32>(x);
  for (let i = 1; i < n; i++) m = max(m, load<f32>(x + (<usize>i << 2)));
  const top = f32x4.splat(m);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const at = <usize>i << 2;
    v128.store(y + at, exp(f32x4.sub(v128.load(x + at), top)));
  }
  const at = <usize>i << 2;
  storePart(y + at, exp(f32x4.sub(loadPart(x + at, n - i), top)), n - i);
  const inverse: f32 = 1 / sum16(y, n);
  for (i = 0; i < n; i++) store<f32>(y + (<usize>i << 2), load<f32>(y + (<usize>i << 2)) * inverse);
}

/**
 * Columns [first, last) of out[t·used + j] = a × weight[expert], for every row whose expert this is.
 * The rows are gathered, multiplied together and put back, so that the tile is unpacked once for all of them.
 */
export function expertTile(call: usize, expert: i32, first: i32, last: i32): void {
  const weight = word(call, 8);
  const n = word(call, 9);
  const k = word(call, 10);
  const used = word(call, 11);
  const shared = word(call, 12) != 0;
  const format = weightFormat(weight);
  const address = weightAddress(weight) + <usize>expert * weightExpertBytes(weight);
  const aBytes = load<i32>(call, 20);
  const bytes = <usize>aBytes;
  // Gathered inputs, then their outputs (whole rows, so that columns keep their place), then the rows' numbers.
  const inputs = scratch;
  const outputs = inputs + <usize>expertRows * bytes;
  const outStride = (<usize>n << 2) + 16;
  const rows = outputs + <usize>expertRows * outStride;
  const rest = (rows + <usize>expertRows * 4 + 63) & ~63;
  let count = 0;
  const tokens = rowsOf(call);
  for (let token = 0; token < tokens; token++) {
    const ids = bRow(call, token);
    for (let j = 0; j < used; j++) {
      if (load<i32>(ids + (<usize>j << 2)) != expert) continue;
      const row = token * used + j;
      memory.copy(inputs + <usize>count * bytes, aRow(call, shared ? token : row), bytes);
      store<i32>(rows + (<usize>count << 2), row);
      if (++count < expertRows) continue;
      multiply(call, format, address, inputs, bytes, outputs, outStride, rows, count, n, k, first, last, rest);
      count = 0;
    }
  }
  if (count > 0) {
    multiply(call, format, address, inputs, bytes, outputs, outStride, rows, count, n, k, first, last, rest);
  }
}

function multiply(
  call: usize,
  format: i32,
  weight: usize,
  inputs: usize,
  inputStride: usize,
  outputs: usize,
  outStride: usize,
  rows: usize,
  count: i32,
  n: i32,
  k: i32,
  first: i32,
  last: i32,
  scratch: usize,
): void {
  matmulTile(format, outputs, <i32>outStride, inputs, <i32>inputStride, count, weight, n, k, 0, 0, 0, first, last, scratch);
  const from = <usize>first << 2;
  for (let i = 0; i < count; i++) {
    const row = load<i32>(rows + (<usize>i << 2));
    memory.copy(outRow(call, row) + from, outputs + <usize>i * outStride + from, <usize>(last - first) << 2);
  }
}

/** out[t] = Σ_j probability[t, j] · a[t·used + j], from +0 in the order taken, for tokens [first, last). */
export function expertSum(call: usize, first: i32, last: i32): void {
  const n = word(call, 8);
  const used = word(call, 9);
  for (let row = first; row < last; row++) {
    const chosen = bRow(call, row) + (<usize>used << 2);
    const y = outRow(call, row);
    for (let i = 0; i < n; i += 4) {
      const at = <usize>i << 2;
      let sum = f32x4.splat(0);
      for (let j = 0; j < used; j++) {
        const x = aRow(call, row * used + j) + at;
        const value = i + 4 <= n ? v128.load(x) : loadPart(x, n - i);
        sum = f32x4.add(sum, f32x4.mul(v128.load32_splat(chosen + (<usize>j << 2)), value));
      }
      if (i + 4 <= n) v128.store(y + at, sum);
      else storePart(y + at, sum, n - i);
    }
  }
}
