import { aRow, floatWord, outRow, word } from "./call";
import { scratch, weightAddress } from "./control";
import { loadPart, storePart, sum16, sumSquares16 } from "./math";
import { quantizeRow } from "./quantize";

/** rmsNorm of rows [first, last): each of `groups` neighbours of n values alone; f32 or q8. */
export function rmsNorm(call: usize, first: i32, last: i32): void {
  const weight = weightAddress(word(call, 8));
  const n = word(call, 9);
  const groups = word(call, 10);
  const quantized = word(call, 11) != 0;
  const eps = floatWord(call, 12);
  for (let row = first; row < last; row++) {
    const x = aRow(call, row);
    const y = quantized ? scratch : outRow(call, row);
    for (let g = 0; g < groups; g++) {
      const at = (<usize>g * <usize>n) << 2;
      normalize(y + at, x + at, weight, 0, n, 0, rms(x + at, n, eps));
    }
    if (quantized) quantizeRow(y, outRow(call, row), n * groups);
  }
}

/** layerNorm of rows [first, last); f32 or q8. */
export function layerNorm(call: usize, first: i32, last: i32): void {
  const weight = weightAddress(word(call, 8));
  const n = word(call, 9);
  const bias: usize = word(call, 10) < 0 ? 0 : weightAddress(word(call, 10));
  const quantized = word(call, 11) != 0;
  const eps = floatWord(call, 12);
  for (let row = first; row < last; row++) {
    const x = aRow(call, row);
    const y = quantized ? scratch : outRow(call, row);
    const mean = sum16(x, n) / <f32>n;
    const r: f32 = 1 / sqrt<f32>(sumSquares16(x, n, mean) / <f32>n + eps);
    normalize(y, x, weight, bias, n, mean, r);
    if (quantized) quantizeRow(y, outRow(call, row), n);
  }
}

function rms(x: usize, n: i32, eps: f32): f32 {
  return 1 / sqrt<f32>(sumSquares16(x, n, 0) / <f32>n + eps);
}

/** y = ((x − mean) · r) · weight (+ bias where its address is not 0), n values; y may be x. */
function normalize(y: usize, x: usize, weight: usize, bias: usize, n: i32, mean: f32, r: f32): void {
  const m = f32x4.splat(mean);
  const s = f32x4.splat(r);
  let left = n;
  for (; left >= 4; left -= 4, x += 16, y += 16, weight += 16) {
    let value = f32x4.mul(f32x4.mul(f32x4.sub(v128.load(x), m), s), v128.load(weight));
    if (bias != 0) {
      value = f32x4.add(value, v128.load(bias));
      bias += 16;
    }
    v128.store(y, value);
  }
  if (left > 0) {
    let value = f32x4.mul(f32x4.mul(f32x4.sub(loadPart(x, left), m), s), loadPart(weight, left));
    if (bias != 0) value = f32x4.add(value, loadPart(bias, left));
    storePart(y, value, left);
  }
}
