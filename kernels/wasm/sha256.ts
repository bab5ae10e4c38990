// SHA-256 (FIPS 180-4, section 6.2), a module of its own: what browsers have, crypto.subtle, takes only whole
// messages. Padding is the caller's matter. The schedule is computed four words at a time, which makes the
// whole a third quicker than word by word; the rounds themselves are a chain that has nothing to do side by side.

/** The eight words between two blocks, and the 64 of a block's schedule, each with its constant added. */
const state = memory.data(32, 16);
const schedule = memory.data(256, 16);

/** The first 32 bits of the fractional parts of the cube roots of the first 64 primes (section 4.2.2). */
const constants = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
], 16);

/** The address of the eight words of the digest, in the byte order of WebAssembly. */
export function stateAddress(): usize {
  return state;
}

/** Where the bytes to hash belong; the memory after it is theirs. */
export function dataAddress(): usize {
  return (__heap_base + 15) & ~15;
}

/** Begins a message: the first 32 bits of the fractional parts of the square roots of the first 8 primes. */
export function begin(): void {
  store<u32>(state, 0x6a09e667);
  store<u32>(state, 0xbb67ae85, 4);
  store<u32>(state, 0x3c6ef372, 8);
  store<u32>(state, 0xa54ff53a, 12);
  store<u32>(state, 0x510e527f, 16);
  store<u32>(state, 0x9b05688c, 20);
  store<u32>(state, 0x1f83d9ab, 24);
  store<u32>(state, 0x5be0cd19, 28);
}

/** Takes in `blocks` × 64 bytes at `data`. */
export function update(blocks: i32): void {
  let a = load<u32>(state);
  let b = load<u32>(state, 4);
  let c = load<u32>(state, 8);
  let d = load<u32>(state, 12);
  let e = load<u32>(state, 16);
  let f = load<u32>(state, 20);
  let g = load<u32>(state, 24);
  let h = load<u32>(state, 28);
  const data = dataAddress();
  for (let block = data, end = data + (<usize>blocks << 6); block < end; block += 64) {
    expand(block);
    // Eight rounds a turn, so that the variables change their parts by name and no value moves.
    for (let w = schedule; w < schedule + 256; w += 32) {
      h += upper1(e) + choose(e, f, g) + load<u32>(w);
      d += h;
      h += upper0(a) + majority(a, b, c);
      g += upper1(d) + choose(d, e, f) + load<u32>(w, 4);
      c += g;
      g += upper0(h) + majority(h, a, b);
      f += upper1(c) + choose(c, d, e) + load<u32>(w, 8);
      b += f;
      f += upper0(g) + majority(g, h, a);
      e += upper1(b) + choose(b, c, d) + load<u32>(w, 12);
      a += e;
      e += upper0(f) + majority(f, g, h);
      d += upper1(a) + choose(a, b, c) + load<u32>(w, 16);
      h += d;
      d += upper0(e) + majority(e, f, g);
      c += upper1(h) + choose(h, a, b) + load<u32>(w, 20);
      g += c;
      c += upper0(d) + majority(d, e, f);
      b += upper1(g) + choose(g, h, a) + load<u32>(w, 24);
      f += b;
      b += upper0(c) + majority(c, d, e);
      a += upper1(f) + choose(f, g, h) + load<u32>(w, 28);
      e += a;
      a += upper0(b) + majority(b, c, d);
    }
    store<u32>(state, (a += load<u32>(state)));
    store<u32>(state, (b += load<u32>(state, 4)), 4);
    store<u32>(state, (c += load<u32>(state, 8)), 8);
    store<u32>(state, (d += load<u32>(state, 12)), 12);
    store<u32>(state, (e += load<u32>(state, 16)), 16);
    store<u32>(state, (f += load<u32>(state, 20)), 20);
    store<u32>(state, (g += load<u32>(state, 24)), 24);
    store<u32>(state, (h += load<u32>(state, 28)), 28);
  }
}

/** The schedule of a block: its 16 words, most significant byte first, and 48 that follow from them; four a step. */
function expand(block: usize): void {
  let x0 = swapped(v128.load(block));
  let x1 = swapped(v128.load(block, 16));
  let x2 = swapped(v128.load(block, 32));
  let x3 = swapped(v128.load(block, 48));
  for (let at: usize = 0; ; ) {
    v128.store(schedule + at, i32x4.add(x0, v128.load(constants + at)));
    v128.store(schedule + at, i32x4.add(x1, v128.load(constants + at, 16)), 16);
    v128.store(schedule + at, i32x4.add(x2, v128.load(constants + at, 32)), 32);
    v128.store(schedule + at, i32x4.add(x3, v128.load(constants + at, 48)), 48);
    at += 64;
    if (at === 256) return;
    x0 = next(x0, x1, x2, x3);
    x1 = next(x1, x2, x3, x0);
    x2 = next(x2, x3, x0, x1);
    x3 = next(x3, x0, x1, x2);
  }
}

// @ts-ignore: decorator
@inline
function swapped(x: v128): v128 {
  return v128.shuffle<u8>(x, x, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}

/**
 * Words t … t + 3 from words t − 16 … t − 1: w[t] = w[t − 16] + lower0(w[t − 15]) + w[t − 7] + lower1(w[t − 2]).
 * The last two need the first two, so lower1 is taken of two words at a time.
 */
// @ts-ignore: decorator
@inline
function next(x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const w15 = v128.shuffle<u32>(x0, x1, 1, 2, 3, 4);
  const w7 = v128.shuffle<u32>(x2, x3, 1, 2, 3, 4);
  const sum = i32x4.add(i32x4.add(x0, w7), lower0(w15));
  const zero = i32x4.splat(0);
  const before = lower1(v128.shuffle<u32>(x3, x3, 2, 2, 3, 3));
  const first = i32x4.add(sum, v128.shuffle<u32>(before, zero, 0, 2, 4, 4));
  const after = lower1(v128.shuffle<u32>(first, first, 0, 0, 1, 1));
  return i32x4.add(first, v128.shuffle<u32>(after, zero, 4, 4, 0, 2));
}

// The six functions of section 4.1.2; choose and majority with one operation less than there.

// @ts-ignore: decorator
@inline
function choose(x: u32, y: u32, z: u32): u32 {
  return z ^ (x & (y ^ z));
}

// @ts-ignore: decorator
@inline
function majority(x: u32, y: u32, z: u32): u32 {
  return (x & y) | (z & (x | y));
}

// @ts-ignore: decorator
@inline
function upper0(x: u32): u32 {
  return rotr(x, 2) ^ rotr(x, 13) ^ rotr(x, 22);
}

// @ts-ignore: decorator
@inline
function upper1(x: u32): u32 {
  return rotr(x, 6) ^ rotr(x, 11) ^ rotr(x, 25);
}

// @ts-ignore: decorator
@inline
function lower0(x: v128): v128 {
  const rotated7 = v128.or(i32x4.shr_u(x, 7), i32x4.shl(x, 25));
  const rotated18 = v128.or(i32x4.shr_u(x, 18), i32x4.shl(x, 14));
  return v128.xor(v128.xor(rotated7, rotated18), i32x4.shr_u(x, 3));
}

/** Of two words, each given twice side by side: shifted as one, the lower is rotated. Results in lanes 0 and 2. */
// @ts-ignore: decorator
@inline
function lower1(x: v128): v128 {
  return v128.xor(v128.xor(i64x2.shr_u(x, 17), i64x2.shr_u(x, 19)), i32x4.shr_u(x, 10));
}
