import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { largest, setWeights } from "../../src/generate/candidates.ts";

/** The same by sorting everything. */
function plainLargest(logits: Float32Array, count: number): number[] {
  return Array.from(logits, (logit, id) => ({ logit, id }))
    .filter(({ logit }) => logit !== -Infinity)
    .sort((a, b) => b.logit - a.logit || a.id - b.id)
    .slice(0, count)
    .map(({ id }) => id);
}

const idsOf = (logits: Float32Array, count: number): number[] => {
  const { ids, size } = largest(logits, count);
  return Array.from(ids.subarray(0, size));
};

describe("largest", () => {
  // Few different values, so that ties are many; both zeros and -Infinity among them.
  const values = fc.oneof(
    fc.constantFrom(0, -0, 1, -1, 2.5, -Infinity, 1e-40, -1e-40, 3.4e38, -3.4e38),
    fc.float({ noNaN: true, noDefaultInfinity: true }),
  );

  test("agrees with a full sort, ties going to the lower id", () => {
    fc.assert(
      fc.property(
        fc.array(values, { minLength: 1, maxLength: 200 }),
        fc.integer({ min: 1, max: 220 }),
        (list, count) => {
          const logits = Float32Array.from(list);
          fc.pre(logits.some((logit) => logit !== -Infinity));
          expect(idsOf(logits, count)).toEqual(plainLargest(logits, count));
        },
      ),
      { numRuns: 500 },
    );
  });

  test("agrees where the logits ascend, descend or are all equal", () => {
    for (const logits of [
      Float32Array.from({ length: 3000 }, (_, i) => i),
      Float32Array.from({ length: 3000 }, (_, i) => -i),
      new Float32Array(3000),
    ]) {
      for (const count of [1, 2, 40, 2999, 3000, 5000])
        expect(idsOf(logits, count)).toEqual(plainLargest(logits, count));
    }
  });

  test("weights are e^(logit - largest)", () => {
    const candidates = largest(Float32Array.of(1, 3, 2), 3);
    setWeights(candidates, 1);
    const { weights, size } = candidates;
    expect(size).toBe(3);
    for (const [i, exact] of [1, Math.exp(-1), Math.exp(-2)].entries())
      expect(weights[i]).toBeCloseTo(exact, 6);
  });

  test.each([1, 2, 5])("refuses NaN, Infinity and all barred, with count %i", (count) => {
    expect(() => largest(Float32Array.of(1, Number.NaN, 3), count)).toThrowError(
      expect.objectContaining({ code: "sample.nan", found: expect.stringContaining("token 1") }),
    );
    expect(() => largest(Float32Array.of(1, 2, Infinity), count)).toThrowError(
      expect.objectContaining({ code: "sample.infinite", found: expect.stringContaining("token 2") }),
    );
    expect(() => largest(Float32Array.of(-Infinity, -Infinity, -Infinity), count)).toThrowError(
      expect.objectContaining({ code: "sample.empty" }),
    );
  });
});
