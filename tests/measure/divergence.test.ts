import { describe, expect, test } from "vitest";
import { divergence, klDivergence } from "../../src/measure/divergence.ts";
import { perplexity } from "../../src/measure/perplexity.ts";
import { TableScorer } from "./table-scorer.ts";

const logs = (...probabilities: number[]) => Float32Array.from(probabilities, Math.log);
const barred = Number.NEGATIVE_INFINITY;

describe("Kullback-Leibler divergence", () => {
  test.each([
    // p log(p/q) summed by hand.
    [
      "halves from a fair die's",
      logs(1 / 2, 1 / 2),
      logs(1 / 4, 3 / 4),
      0.5 * Math.log(2) + 0.5 * Math.log(2 / 3),
    ],
    [
      "the other way",
      logs(1 / 4, 3 / 4),
      logs(1 / 2, 1 / 2),
      0.25 * Math.log(1 / 2) + 0.75 * Math.log(3 / 2),
    ],
    ["a certain token", Float32Array.of(0, barred), logs(1 / 8, 7 / 8), Math.log(8)],
    ["a token that the other bars", logs(1 / 2, 1 / 2), Float32Array.of(0, barred), Number.POSITIVE_INFINITY],
    ["one that both bar", Float32Array.of(0, barred, 0), Float32Array.of(5, barred, 5), 0],
  ])("%s", (_, p, q, want) => {
    if (want === Number.POSITIVE_INFINITY) expect(klDivergence(p, q)).toBe(want);
    else expect(klDivergence(p, q)).toBeCloseTo(want, 6);
  });

  test("a constant added to all logits changes nothing", () => {
    const p = Float32Array.of(1, -2, 0.5, 3);
    expect(
      klDivergence(
        p,
        p.map((logit) => logit + 64),
      ),
    ).toBeCloseTo(0, 12);
  });
});

describe("divergence of two models", () => {
  const text = { ids: Int32Array.of(0, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0) };
  const certain = new TableScorer(() => logs(1 / 4, 3 / 4));
  const even = new TableScorer(() => logs(1 / 2, 1 / 2));
  // After 0 as `certain`, after 1 the other way round.
  const turned = new TableScorer((token) => (token === 0 ? logs(1 / 4, 3 / 4) : logs(3 / 4, 1 / 4)));

  test("by hand, and with the perplexities of both", async () => {
    const found = await divergence(even, certain, text, { context: 8 });
    expect(found.meanKl).toBeCloseTo(0.25 * Math.log(1 / 2) + 0.75 * Math.log(3 / 2), 6);
    expect(found.maxKl).toBeCloseTo(found.meanKl, 12);
    expect(found.meanKlStandardError).toBeCloseTo(0, 12);
    // Of equal logits the lower id counts as the likeliest.
    expect(found.sameTop).toBe(0);
    expect(found.perplexity).toEqual(await perplexity(even, text, { context: 8 }));
    expect(found.originalPerplexity).toEqual(await perplexity(certain, text, { context: 8 }));
  });

  test("places are compared with the same places", async () => {
    // Logits after the tokens 4…6 of each window of 8: 0 1 1 and 1 0 1.
    const found = await divergence(turned, certain, text, { context: 8 });
    const other = 0.25 * Math.log(1 / 3) + 0.75 * Math.log(3);
    expect(found.meanKl).toBeCloseTo((4 * other) / 6, 6);
    expect(found.maxKl).toBeCloseTo(other, 6);
    expect(found.sameTop).toBeCloseTo(2 / 6, 12);
  });

  test("a model does not diverge from itself", async () => {
    const found = await divergence(turned, turned, text, { context: 8 });
    expect([found.meanKl, found.maxKl, found.sameTop]).toEqual([0, 0, 1]);
  });
});
