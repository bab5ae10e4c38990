import { describe, expect, test } from "vitest";
import { logSumExp } from "../../src/measure/log-softmax.ts";
import { RunningMean } from "../../src/measure/mean.ts";
import { perplexity } from "../../src/measure/perplexity.ts";
import { windowsOf } from "../../src/measure/windows.ts";
import { TableScorer } from "./table-scorer.ts";

describe("windows", () => {
  test("follow one another, and the second half less one is scored, as llama.cpp does", () => {
    const { list, scoredTokens, context, stride } = windowsOf(1100, 2048, { context: 512 });
    expect(list).toEqual([
      { start: 0, firstScored: 257 },
      { start: 512, firstScored: 257 },
    ]);
    expect([scoredTokens, context, stride]).toEqual([510, 512, 512]);
  });

  test("a stride scores every token after the first window's beginning once", () => {
    for (const [tokens, context, stride] of [
      [100, 10, 3],
      [100, 10, 9],
      [64, 8, 1],
      [64, 64, 5],
    ]) {
      const { list, scoredTokens } = windowsOf(tokens, 64, { context, stride });
      const scored = list.flatMap(({ start, firstScored }) =>
        Array.from({ length: context - firstScored }, (_, i) => start + firstScored + i),
      );
      const first = context - stride;
      expect(scored).toEqual(Array.from({ length: scoredTokens }, (_, i) => first + i));
      expect(tokens - scored.at(-1)! - 1).toBeLessThan(stride);
    }
  });

  test("512 tokens by default, or what the model has room for", () => {
    expect(windowsOf(5000, 4096, {}).context).toBe(512);
    expect(windowsOf(5000, 100, {}).context).toBe(100);
  });

  test("an odd window scores its shorter half", () => {
    expect(windowsOf(5, 64, { context: 5 })).toMatchObject({
      list: [{ start: 0, firstScored: 3 }],
      scoredTokens: 2,
    });
  });

  test.each([
    [{ context: 3 }, "eval.context"],
    [{ context: 65 }, "eval.context"],
    [{ context: 7.5 }, "eval.context"],
    [{ context: Number.NaN }, "eval.context"],
    [{ context: 8, stride: 0 }, "eval.stride"],
    [{ context: 8, stride: 8 }, "eval.stride"],
    [{ context: 64 }, "eval.text"],
  ] as const)("%j is refused", (options, code) => {
    expect(() => windowsOf(63, 64, options)).toThrow(expect.objectContaining({ code }));
  });
});

describe("log Σ exp", () => {
  const near = (logits: number[], want: number) =>
    expect(logSumExp(Float32Array.from(logits))).toBeCloseTo(want, 12);

  test("of equal logits is the logit plus log of their number", () => {
    near([0, 0, 0, 0], Math.log(4));
    near(Array(1000).fill(-7), -7 + Math.log(1000));
  });

  test("does not overflow, vanish or lose small terms", () => {
    near([3e38, 3e38], Math.fround(3e38) + Math.LN2);
    near([-3e38, -3e38], Math.fround(-3e38) + Math.LN2);
    near([0, -20], Math.log1p(Math.exp(-20)));
    near([1, Number.NEGATIVE_INFINITY], 1);
  });

  test("is NaN where there are no probabilities", () => {
    for (const bad of [
      [Number.NaN, 1],
      [Number.POSITIVE_INFINITY, 1],
      Array(3).fill(Number.NEGATIVE_INFINITY),
    ]) {
      expect(logSumExp(Float32Array.from(bad))).toBeNaN();
    }
  });
});

test("the mean's standard error is the samples' deviation over the root of their number", () => {
  const mean = new RunningMean();
  for (const value of [2, 4, 4, 4, 5, 5, 7, 9]) mean.add(value);
  expect([mean.count, mean.mean, mean.largest]).toEqual([8, 5, 9]);
  // Their squared differences sum to 32.
  expect(mean.standardError).toBeCloseTo(Math.sqrt(32 / 7 / 8), 14);
});

describe("perplexity", () => {
  test("of a model that expects all tokens alike is their number", async () => {
    const scorer = new TableScorer(() => new Float32Array(10));
    const found = await perplexity(
      scorer,
      { ids: Int32Array.from({ length: 40 }, (_, i) => i % 10) },
      { context: 16 },
    );
    expect(found.perplexity).toBeCloseTo(10, 10);
    expect(found).toMatchObject({ tokens: 40, scoredTokens: 14, windows: 2, context: 16, stride: 16 });
    expect(found.standardError).toBeCloseTo(0, 10);
  });

  test("by hand: e to the mean of −log p, and its standard error", async () => {
    // After token t the next is t with probability 3/4, otherwise one of two others.
    const likely = Math.log(0.75);
    const others = Math.log(0.125);
    const scorer = new TableScorer((token) => {
      const logits = new Float32Array(3).fill(others + 5);
      logits[token] = likely + 5;
      return logits;
    });
    // In a window of 8 the tokens 5, 6 and 7 are scored: here a repetition, a change and a repetition.
    const found = await perplexity(
      scorer,
      { ids: Int32Array.of(0, 0, 0, 0, 1, 1, 2, 2, 0, 0) },
      { context: 8 },
    );
    const nll = -(likely + others + likely) / 3;
    expect(found.nll).toBeCloseTo(nll, 6);
    expect(found.perplexity).toBeCloseTo(Math.exp(nll), 6);
    const deviation = Math.sqrt(((-likely - nll) ** 2 * 2 + (-others - nll) ** 2) / 2);
    expect(found.nllStandardError).toBeCloseTo(deviation / Math.sqrt(3), 6);
    expect(found.standardError).toBeCloseTo((Math.exp(nll) * deviation) / Math.sqrt(3), 5);
    expect(found).toMatchObject({ tokens: 10, scoredTokens: 3, windows: 1 });
  });

  test("every window begins with bos, and its last token is not read", async () => {
    const scorer = new TableScorer(() => new Float32Array(32));
    const ids = Int32Array.from({ length: 24 }, (_, i) => i);
    await perplexity(scorer, { ids, bos: 31 }, { context: 8 });
    expect(scorer.read).toEqual([
      [31, 1, 2, 3, 4, 5, 6],
      [31, 9, 10, 11, 12, 13, 14],
      [31, 17, 18, 19, 20, 21, 22],
    ]);
    expect(ids[8]).toBe(8);
  });

  test("tells how far it is after each window", async () => {
    const told: number[][] = [];
    const scorer = new TableScorer(() => new Float32Array(4));
    const text = { ids: new Int32Array(24) };
    await perplexity(scorer, text, { context: 8, progress: (...counts) => told.push(counts) });
    expect(told).toEqual([
      [3, 9],
      [6, 9],
      [9, 9],
    ]);
  });

  test("logits that are no numbers are an error that says where", async () => {
    const scorer = new TableScorer((token) => new Float32Array(4).fill(token === 3 ? Number.NaN : 0));
    const ids = Int32Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0);
    await expect(perplexity(scorer, { ids }, { context: 8 })).rejects.toMatchObject({
      code: "eval.logits",
      found: expect.stringContaining("token 14 "),
    });
  });
});
