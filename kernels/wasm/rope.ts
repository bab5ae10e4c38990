import { aRow, bRow, floatWord, outRow, word } from "./call";
import { positions, weightAddress } from "./control";

/** Pairs (cos, sin) of position · frequency for tokens [first, last), times the magnitude scale. */
export function ropeTable(call: usize, first: i32, last: i32): void {
  const frequencies = weightAddress(word(call, 8));
  const pairs = word(call, 9) >> 1;
  const magnitude = floatWord(call, 10);
  for (let row = first; row < last; row++) {
    const position = <f64>load<i32>(positions + (<usize>row << 2));
    let out = outRow(call, row);
    for (let i = 0; i < pairs; i++, out += 8) {
      const angle = position * load<f64>(frequencies + (<usize>i << 3));
      const q = nearest<f64>(angle * 0.6366197723675814); // 2/π
      // π/2 in two parts, the first of 33 bits, so that q times it is exact.
      const r = <f32>(angle - q * 1.5707963267341256 - q * 6.077100506506192e-11);
      const z = r * r;
      const sine = ((<f32>-1.9515295891e-4 * z + <f32>8.3321608736e-3) * z - <f32>1.6666654611e-1) * z * r + r;
      const cosine =
        ((<f32>2.443315711809948e-5 * z - <f32>1.388731625493765e-3) * z + <f32>4.166664568298827e-2) * (z * z) -
        <f32>0.5 * z +
        <f32>1;
      const quadrant = <i32>(<i64>q & 3);
      const swapped = (quadrant & 1) != 0;
      let c = swapped ? sine : cosine;
      let s = swapped ? cosine : sine;
      if (quadrant == 1 || quadrant == 2) c = -c;
      if (quadrant >= 2) s = -s;
      store<f32>(out, c * magnitude);
      store<f32>(out, s * magnitude, 4);
    }
  }
}

/** out = a rotated by the table b, for rows [first, last); out may be a. */
export function rope(call: usize, first: i32, last: i32): void {
  const n = word(call, 8);
  const heads = word(call, 9);
  const rotated = word(call, 10);
  const adjacent = word(call, 11) == 0;
  for (let row = first; row < last; row++) {
    const table = bRow(call, row);
    for (let head = 0; head < heads; head++) {
      const at = (<usize>head * <usize>n) << 2;
      const x = aRow(call, row) + at;
      const y = outRow(call, row) + at;
      if (adjacent) rotateAdjacent(y, x, table, rotated >> 1);
      else rotateHalves(y, x, table, rotated >> 1);
      const rest = <usize>rotated << 2;
      if (x != y) memory.copy(y + rest, x + rest, (<usize>n << 2) - rest);
    }
  }
}

/** Pairs (x[2i], x[2i+1]). */
function rotateAdjacent(y: usize, x: usize, table: usize, pairs: i32): void {
  let i = 0;
  for (; i + 4 <= pairs; i += 4, x += 32, y += 32, table += 32) {
    const x0 = v128.load(x);
    const x1 = v128.load(x, 16);
    const t0 = v128.load(table);
    const t1 = v128.load(table, 16);
    const u = v128.shuffle<u32>(x0, x1, 0, 2, 4, 6);
    const v = v128.shuffle<u32>(x0, x1, 1, 3, 5, 7);
    const c = v128.shuffle<u32>(t0, t1, 0, 2, 4, 6);
    const s = v128.shuffle<u32>(t0, t1, 1, 3, 5, 7);
    const p = f32x4.sub(f32x4.mul(u, c), f32x4.mul(v, s));
    const q = f32x4.add(f32x4.mul(u, s), f32x4.mul(v, c));
    v128.store(y, v128.shuffle<u32>(p, q, 0, 4, 1, 5));
    v128.store(y, v128.shuffle<u32>(p, q, 2, 6, 3, 7), 16);
  }
  for (; i < pairs; i++, x += 8, y += 8, table += 8) rotatePair(y, y + 4, load<f32>(x), load<f32>(x, 4), table);
}

/** Pairs (x[i], x[i + pairs]). */
function rotateHalves(y: usize, x: usize, table: usize, pairs: i32): void {
  const half = <usize>pairs << 2;
  let i = 0;
  for (; i + 4 <= pairs; i += 4, x += 16, y += 16, table += 32) {
    const u = v128.load(x);
    const v = v128.load(x + half);
    const t0 = v128.load(table);
    const t1 = v128.load(table, 16);
    const c = v128.shuffle<u32>(t0, t1, 0, 2, 4, 6);
    const s = v128.shuffle<u32>(t0, t1, 1, 3, 5, 7);
    v128.store(y, f32x4.sub(f32x4.mul(u, c), f32x4.mul(v, s)));
    v128.store(y + half, f32x4.add(f32x4.mul(u, s), f32x4.mul(v, c)));
  }
  for (; i < pairs; i++, x += 4, y += 4, table += 8) {
    rotatePair(y, y + half, load<f32>(x), load<f32>(x + half), table);
  }
}

function rotatePair(p: usize, q: usize, u: f32, v: f32, table: usize): void {
  const c = load<f32>(table);
  const s = load<f32>(table, 4);
  store<f32>(p, u * c - v * s);
  store<f32>(q, u * s + v * c);
}
