import { aRow, bRow, floatWord, outRow, word } from "./call";
import { scratch, tokens, positions, wanted, weightAddress, weightFormat, weightRows } from "./control";
import { gatherRow } from "./gather";
import { gelu, loadPart, silu, softcap, storePart } from "./math";
import { quantizeRow } from "./quantize";

/** out[t] = weight[token[t]] · scale for tokens [first, last). */
export function embed(call: usize, first: i32, last: i32): void {
  const weight = word(call, 8);
  const n = word(call, 9);
  const scale = f32x4.splat(floatWord(call, 10));
  for (let row = first; row < last; row++) {
    const y = outRow(call, row);
    const token = load<i32>(tokens + (<usize>row << 2));
    gatherRow(weightFormat(weight), weightAddress(weight), weightRows(weight), n, token, scratch);
    let i = 0;
    for (; i + 4 <= n; i += 4) v128.store(at(y, i), f32x4.mul(v128.load(at(scratch, i)), scale));
    storePart(at(y, i), f32x4.mul(loadPart(at(scratch, i), n - i), scale), n - i);
  }
}

/** out[t] = a[t] + weight[position[t]] for tokens [first, last). */
export function addPosition(call: usize, first: i32, last: i32): void {
  const weight = word(call, 8);
  const n = word(call, 9);
  for (let row = first; row < last; row++) {
    const position = load<i32>(positions + (<usize>row << 2));
    gatherRow(weightFormat(weight), weightAddress(weight), weightRows(weight), n, position, scratch);
    addRow(outRow(call, row), aRow(call, row), scratch, n);
  }
}

/** out = a + b for rows [first, last). */
export function add(call: usize, first: i32, last: i32): void {
  const n = word(call, 8);
  for (let row = first; row < last; row++) addRow(outRow(call, row), aRow(call, row), bRow(call, row), n);
}

function addRow(y: usize, a: usize, b: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4) v128.store(at(y, i), f32x4.add(v128.load(at(a, i)), v128.load(at(b, i))));
  storePart(at(y, i), f32x4.add(loadPart(at(a, i), n - i), loadPart(at(b, i), n - i)), n - i);
}

/** out = function(a) · b for rows [first, last); f32 or q8. */
export function gated(call: usize, first: i32, last: i32): void {
  const n = word(call, 8);
  const isSilu = word(call, 9) == 0;
  const quantized = word(call, 10) != 0;
  for (let row = first; row < last; row++) {
    const a = aRow(call, row);
    const b = bRow(call, row);
    const y = quantized ? scratch : outRow(call, row);
    let i = 0;
    for (; i + 4 <= n; i += 4) {
      const x = v128.load(at(a, i));
      v128.store(at(y, i), f32x4.mul(isSilu ? silu(x) : gelu(x), v128.load(at(b, i))));
    }
    if (i < n) {
      const x = loadPart(at(a, i), n - i);
      storePart(at(y, i), f32x4.mul(isSilu ? silu(x) : gelu(x), loadPart(at(b, i), n - i)), n - i);
    }
    if (quantized) quantizeRow(y, outRow(call, row), n);
  }
}

/** out = function(a) for rows [first, last); f32 or q8. */
export function activate(call: usize, first: i32, last: i32): void {
  const n = word(call, 8);
  const isSilu = word(call, 9) == 0;
  const quantized = word(call, 10) != 0;
  for (let row = first; row < last; row++) {
    const a = aRow(call, row);
    const y = quantized ? scratch : outRow(call, row);
    let i = 0;
    for (; i + 4 <= n; i += 4) {
      const x = v128.load(at(a, i));
      v128.store(at(y, i), isSilu ? silu(x) : gelu(x));
    }
    if (i < n) {
      const x = loadPart(at(a, i), n - i);
      storePart(at(y, i), isSilu ? silu(x) : gelu(x), n - i);
    }
    if (quantized) quantizeRow(y, outRow(call, row), n);
  }
}

/** out = cap · tanh(a / cap) for rows [first, last), values [from, to) of each; 4 divides `from`. */
export function softcapValues(call: usize, first: i32, last: i32, from: i32, to: i32): void {
  const cap = f32x4.splat(floatWord(call, 9));
  for (let row = first; row < last; row++) {
    const a = aRow(call, row);
    const y = outRow(call, row);
    let i = from;
    for (; i + 4 <= to; i += 4) v128.store(at(y, i), softcap(v128.load(at(a, i)), cap));
    if (i < to) storePart(at(y, i), softcap(loadPart(at(a, i), to - i), cap), to - i);
  }
}

/** out (q8) = a for rows [first, last). */
export function quantize(call: usize, first: i32, last: i32): void {
  const n = word(call, 8);
  for (let row = first; row < last; row++) quantizeRow(aRow(call, row), outRow(call, row), n);
}

/** out[r] = a[wanted[r]] for rows [first, last). */
export function gatherRows(call: usize, first: i32, last: i32): void {
  const n = word(call, 8);
  for (let row = first; row < last; row++) {
    const from = load<i32>(wanted + (<usize>row << 2));
    memory.copy(outRow(call, row), aRow(call, from), <usize>n << 2);
  }
}

/** Address of f32 value i. */
function at(x: usize, i: i32): usize {
  return x + (<usize>i << 2);
}
