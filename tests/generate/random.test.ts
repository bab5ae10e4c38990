import { describe, expect, test } from "vitest";
import { splitmix64, Xoshiro128 } from "../../src/generate/random.ts";

const take = <T>(count: number, next: () => T): T[] => Array.from({ length: count }, next);

// The vectors are those of the rand_xoshiro crate's tests, which were made with the authors' C programs.
test("splitmix64 gives the published sequence", () => {
  expect(take(5, splitmix64(1477776061723855037n))).toEqual([
    1985237415132408290n,
    2979275885539914483n,
    13511426838097143398n,
    8488337342461049707n,
    15141737807933549159n,
  ]);
});

describe("xoshiro128**", () => {
  test("gives the published sequence", () => {
    const random = new Xoshiro128([1, 2, 3, 4]);
    expect(take(10, () => random.next())).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ]);
  });

  test("takes its state from the halves of two outputs of splitmix64, low half first", () => {
    // splitmix64 of 0 begins e220a8397b1dcdaf, 6e789e6aa1b965f4.
    const seeded = Xoshiro128.fromSeed(0);
    const stated = new Xoshiro128([0x7b1dcdaf, 0xe220a839, 0xa1b965f4, 0x6e789e6a]);
    expect(take(20, () => seeded.next())).toEqual(take(20, () => stated.next()));
  });

  test("a seed counts modulo 2^64, and different seeds give different sequences", () => {
    const first = (seed: number | bigint) => Xoshiro128.fromSeed(seed).next();
    expect(first(-1)).toBe(first(2n ** 64n - 1n));
    expect(new Set([0, 1, 2, -1, 2 ** 32, 2 ** 53 - 1].map(first)).size).toBe(6);
  });

  test("uniform is even over [0, 1)", () => {
    const random = Xoshiro128.fromSeed(42);
    const bins = new Array<number>(64).fill(0);
    const draws = 64_000;
    for (let i = 0; i < draws; i++) {
      bins[Math.floor(random.uniform() * 64)]++;
    }
    // A number outside [0, 1) would have made a 65th bin, or have made a count NaN.
    expect(bins.length).toBe(64);
    expect(bins.reduce((a, b) => a + b)).toBe(draws);
    const chiSquare = bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    // 63 degrees of freedom: 103.4 is exceeded with probability 0.001.
    expect(chiSquare).toBeLessThan(103.4);
  });
});
