/**
 * splitmix64: a step of a 64-bit counter, mixed. It spreads a seed over the state of `Xoshiro128`.
 *
 * @param seed  0 ≤ seed < 2⁶⁴
 * @returns     a function that gives the next output, 0 ≤ x < 2⁶⁴
 * Source: Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195; constants as in Vigna's splitmix64.c
 */
export function splitmix64(seed: bigint): () => bigint {
  let state = seed;
  return () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
}

/** Four words of 32 bits, not all zero. */
export type XoshiroState = readonly [number, number, number, number];

/**
 * xoshiro128** 1.1: 32 random bits a step, period 2¹²⁸ − 1. Only integer operations, so that a seed
 * gives the same sequence everywhere.
 *
 * Source: Blackman and Vigna 2021, arXiv:1805.01407
 */
export class Xoshiro128 {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  constructor([a, b, c, d]: XoshiroState) {
    this.a = a | 0;
    this.b = b | 0;
    this.c = c | 0;
    this.d = d | 0;
  }

  /**
   * The generator of a seed: the words of the state are the low and high halves of the first two
   * outputs of `splitmix64(seed)`.
   *
   * @param seed  a whole number; a negative one counts modulo 2⁶⁴
   */
  static fromSeed(seed: number | bigint): Xoshiro128 {
    const next = splitmix64(BigInt.asUintN(64, BigInt(seed)));
    const words = [next(), next()].flatMap((x) => [Number(x & 0xffffffffn), Number(x >> 32n)]);
    return new Xoshiro128(words as unknown as XoshiroState);
  }

  /** The next 32 bits, 0 ≤ x < 2³². */
  next(): number {
    const product = Math.imul(this.b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= shifted;
    this.d = (this.d << 11) | (this.d >>> 21);
    return result >>> 0;
  }

  /** Uniform in [0, 1): the next 32 bits times 2⁻³², which binary64 holds exactly. */
  uniform(): number {
    return this.next() * 2 ** -32;
  }
}
