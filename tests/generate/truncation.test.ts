import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Candidates, largest, setWeights, totalWeight } from "../../src/generate/candidates.ts";
import { draw } from "../../src/generate/draw.ts";
import { keepMinP } from "../../src/generate/min-p.ts";
import { Mirostat } from "../../src/generate/mirostat.ts";
import { Xoshiro128 } from "../../src/generate/random.ts";
import { keepTopP } from "../../src/generate/top-p.ts";
import { keepTypical } from "../../src/generate/typical.ts";
import { excludeTopChoices } from "../../src/generate/xtc.ts";

/** Candidates of tokens 0, 1, … with these probabilities, given in descending order. */
const of = (...probabilities: number[]): Candidates => weighted(Float32Array.from(probabilities, Math.log));

function weighted(logits: Float32Array): Candidates {
  const candidates = largest(logits, logits.length);
  setWeights(candidates, 1);
  return candidates;
}

const kept = ({ ids, size }: Candidates): number[] => Array.from(ids.subarray(0, size));

const cut = (candidates: Candidates, step: (candidates: Candidates) => void): number[] => {
  step(candidates);
  return kept(candidates);
};

describe("top-p", () => {
  const cases: [topP: number, size: number][] = [
    [0.1, 1],
    [0.49, 1],
    [0.51, 2],
    [0.79, 2],
    [0.81, 3],
    [0.96, 4],
    [1, 4],
  ];
  test.each(cases)("%f of 0.5, 0.3, 0.15, 0.05 keeps %i", (topP, size) => {
    expect(cut(of(0.5, 0.3, 0.15, 0.05), (c) => keepTopP(c, topP))).toHaveLength(size);
  });
});

describe("min-p", () => {
  const cases: [minP: number, size: number][] = [
    [0, 4],
    [0.09, 4],
    [0.11, 3],
    [0.29, 3],
    [0.31, 2],
    [0.61, 1],
    [1, 1],
  ];
  test.each(cases)("%f of 0.5, 0.3, 0.15, 0.05 keeps %i", (minP, size) => {
    expect(cut(of(0.5, 0.3, 0.15, 0.05), (c) => keepMinP(c, minP))).toHaveLength(size);
  });

  test("1 keeps every token as likely as the likeliest", () => {
    expect(cut(of(0.4, 0.4, 0.2), (c) => keepMinP(c, 1))).toEqual([0, 1]);
  });
});

describe("typical", () => {
  test("leaves out the likeliest token where it is far from the entropy", () => {
    // Entropy of (0.4, six of 0.1) is 1.748 nats. The six are 0.555 from it, the first 0.832.
    expect(cut(of(0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1), (c) => keepTypical(c, 0.25))).toEqual([1, 2, 3]);
  });

  test("keeps the likeliest where that is the nearest", () => {
    // Entropy of (0.9, 0.05, 0.05) is 0.394 nats; surprises are 0.105, 2.996, 2.996.
    expect(cut(of(0.9, 0.05, 0.05), (c) => keepTypical(c, 0.5))).toEqual([0]);
  });

  /** By the definition: sort by distance from the entropy, take until the probability is reached. */
  function plainTypical(probabilities: readonly number[], typicalP: number): number[] {
    const entropy = -probabilities.reduce((sum, p) => sum + p * Math.log(p), 0);
    const order = probabilities
      .map((p, id) => ({ p, id, distance: Math.abs(-Math.log(p) - entropy) }))
      .sort((a, b) => a.distance - b.distance);
    const taken: number[] = [];
    let sum = 0;
    for (const { p, id } of order) {
      taken.push(id);
      sum += p;
      if (sum >= typicalP) break;
    }
    return taken.sort((a, b) => a - b);
  }

  test("agrees with a sort by distance", () => {
    const random = Xoshiro128.fromSeed(1);
    for (let round = 0; round < 500; round++) {
      const raw = Array.from({ length: 2 + (round % 30) }, () => Math.exp(4 * random.uniform())).sort(
        (a, b) => b - a,
      );
      const sum = raw.reduce((a, b) => a + b);
      const probabilities = raw.map((p) => p / sum);
      const typicalP = 0.02 + 0.97 * random.uniform();
      const want = plainTypical(probabilities, typicalP);
      expect(cut(of(...probabilities), (c) => keepTypical(c, typicalP))).toEqual(want);
    }
  });
});

describe("XTC", () => {
  test("keeps only the least likely of those that reach the threshold, and all below", () => {
    const exclude = (threshold: number) => (c: Candidates) => excludeTopChoices(c, 0.5, threshold, 0.49);
    expect(cut(of(0.4, 0.3, 0.2, 0.1), exclude(0.15))).toEqual([2, 3]);
    expect(cut(of(0.4, 0.3, 0.2, 0.1), exclude(0.25))).toEqual([1, 2, 3]);
    expect(cut(of(0.4, 0.3, 0.2, 0.1), exclude(0))).toEqual([3]);
  });

  test("changes nothing where fewer than two reach it, or the draw says not now", () => {
    expect(cut(of(0.4, 0.3, 0.2, 0.1), (c) => excludeTopChoices(c, 1, 0.35, 0.2))).toEqual([0, 1, 2, 3]);
    expect(cut(of(0.4, 0.3, 0.2, 0.1), (c) => excludeTopChoices(c, 1, 0.5, 0.2))).toEqual([0, 1, 2, 3]);
    expect(cut(of(0.4, 0.3, 0.2, 0.1), (c) => excludeTopChoices(c, 0.5, 0.1, 0.5))).toEqual([0, 1, 2, 3]);
  });
});

describe("draw", () => {
  test("the uniform number picks its place in the sum of the weights", () => {
    const candidates = of(0.5, 0.3, 0.2);
    for (const [uniform, index] of [
      [0, 0],
      [0.49, 0],
      [0.51, 1],
      [0.79, 1],
      [0.81, 2],
      [1 - 2 ** -32, 2],
    ]) {
      expect(draw(candidates, uniform)).toBe(index);
    }
  });

  test("never picks a token of weight 0", () => {
    const candidates = weighted(Float32Array.of(0, -200, -200));
    expect(draw(candidates, 1 - 2 ** -32)).toBe(0);
  });
});

describe("mirostat 2", () => {
  test("cuts at mu and moves it by eta times the error", () => {
    // Surprises in bits: 1, 2, 3, 3.
    const mirostat = new Mirostat(1.25, 0.1);
    expect(mirostat.mu).toBe(2.5);
    const candidates = of(0.5, 0.25, 0.125, 0.125);
    expect(mirostat.draw(candidates, 0.9)).toBe(1);
    expect(kept(candidates)).toEqual([0, 1]);
    expect(mirostat.mu).toBeCloseTo(2.5 - 0.1 * (2 - 1.25), 6);
  });

  test("keeps the likeliest where even that is above mu", () => {
    const mirostat = new Mirostat(0.1, 0.1);
    expect(mirostat.draw(of(0.25, 0.25, 0.25, 0.25), 0.99)).toBe(0);
    expect(mirostat.mu).toBeCloseTo(0.2 - 0.1 * (2 - 0.1), 6);
  });

  test("the mean surprise comes to the target", () => {
    // Zipf's law over 300 tokens has an entropy of 6.4 bits.
    const random = Xoshiro128.fromSeed(7);
    const logits = Float32Array.from({ length: 300 }, (_, i) => -Math.log(i + 1));
    const total = Array.from(logits, Math.exp).reduce((a, b) => a + b);
    for (const tau of [3, 4, 5]) {
      const mirostat = new Mirostat(tau, 0.1);
      let sum = 0;
      for (let i = 0; i < 2000; i++) {
        const candidates = weighted(logits);
        const index = mirostat.draw(candidates, random.uniform());
        if (i >= 500) sum += Math.log2(total) - candidates.logits[index] / Math.LN2;
      }
      expect(Math.abs(sum / 1500 - tau)).toBeLessThan(0.05);
    }
  });
});

test("every truncation keeps at least one candidate, in order, and of what there was", () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 60 }),
      fc.double({ min: 1e-9, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (list, p, q) => {
        const logits = Float32Array.from(list);
        for (const step of [
          (c: Candidates) => keepTopP(c, p),
          (c: Candidates) => keepTypical(c, p),
          (c: Candidates) => keepMinP(c, q),
          (c: Candidates) => excludeTopChoices(c, 1, q, 0),
        ]) {
          const before = kept(weighted(logits));
          const after = cut(weighted(logits), step);
          expect(after.length).toBeGreaterThan(0);
          const start = before.indexOf(after[0]);
          expect(before.slice(start, start + after.length)).toEqual(after);
        }
      },
    ),
  );
});

test("top-p keeps enough, and not one token more than it must", () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: -10, max: 10, noNaN: true }), { minLength: 2, maxLength: 60 }),
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      (list, topP) => {
        const candidates = weighted(Float32Array.from(list));
        const total = totalWeight(candidates);
        keepTopP(candidates, topP);
        const sum = totalWeight(candidates);
        expect(sum).toBeGreaterThanOrEqual(topP * total);
        candidates.size--;
        expect(totalWeight(candidates)).toBeLessThan(topP * total);
      },
    ),
  );
});
