import { describe, expect, test } from "vitest";
import type { SamplingOptions } from "../../src/generate/options.ts";
import { Xoshiro128 } from "../../src/generate/random.ts";
import { createSampler, type SamplerContext } from "../../src/generate/sampler.ts";

/** Every step but the draw turned off. */
const plain: SamplingOptions = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 };

/** Draws `count` tokens from the same logits, each independently of the others. */
function frequencies(logits: Float32Array, options: SamplingOptions, count: number): number[] {
  const sampler = createSampler(options, logits.length);
  const counts = new Array<number>(logits.length).fill(0);
  for (let i = 0; i < count; i++) counts[sampler.sample(logits).token]++;
  return counts;
}

function chiSquare(counts: readonly number[], probabilities: readonly number[]): number {
  const total = counts.reduce((a, b) => a + b);
  return counts.reduce(
    (sum, count, i) => sum + (count - total * probabilities[i]) ** 2 / (total * probabilities[i]),
    0,
  );
}

const softmax = (logits: ArrayLike<number>, temperature = 1): number[] => {
  const weights = Array.from(logits, (logit) => Math.exp(logit / temperature));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
};

/** Logits as a model might give them: V of them, shuffled, a few far above the rest. */
function typicalLogits(V: number): Float32Array {
  const random = Xoshiro128.fromSeed(99);
  return Float32Array.from({ length: V }, () => {
    const sum = random.uniform() + random.uniform() + random.uniform() + random.uniform();
    return (sum - 2) * 5;
  });
}

describe("draw", () => {
  // 7 degrees of freedom: 24.3 is exceeded with probability 0.001.
  test.each([0.5, 1, 1.7])("at temperature %f tokens come as often as they should", (temperature) => {
    const logits = Float32Array.of(0.3, 2, -1, 0.9, 1.1, -0.4, 0, 1.5);
    const counts = frequencies(logits, { ...plain, temperature }, 20_000);
    expect(chiSquare(counts, softmax(logits, temperature))).toBeLessThan(24.3);
  });

  test("top-k leaves the others out and the proportions as they were", () => {
    const logits = Float32Array.of(0.3, 2, -1, 0.9, 1.1, -0.4, 0, 1.5);
    const counts = frequencies(logits, { ...plain, topK: 3 }, 10_000);
    expect(counts.map((count) => count > 0)).toEqual([false, true, false, false, true, false, false, true]);
    // 2 degrees of freedom: 13.8 is exceeded with probability 0.001.
    expect(chiSquare([counts[1], counts[4], counts[7]], softmax([2, 1.1, 1.5]))).toBeLessThan(13.8);
  });

  test("XTC acts as often as it is told to", () => {
    const logits = Float32Array.from([0.5, 0.3, 0.2], Math.log);
    const counts = frequencies(logits, { ...plain, xtc: { probability: 0.4, threshold: 0.25 } }, 10_000);
    // Token 0 only where XTC does nothing: 0.6 · 0.5. The other two share what is left as 3 : 2, so
    // 0.6 · 0.3 + 0.4 · 0.6 and 0.6 · 0.2 + 0.4 · 0.4.
    expect(chiSquare(counts, [0.3, 0.42, 0.28])).toBeLessThan(13.8);
  });

  test("a seed replays, another one does not, and a missing one is drawn and told", () => {
    const logits = typicalLogits(1000);
    const run = (options: SamplingOptions) => {
      const sampler = createSampler(options, 1000);
      return { seed: sampler.seed, tokens: Array.from({ length: 50 }, () => sampler.sample(logits).token) };
    };
    const first = run({ ...plain, seed: 12345 });
    expect(run({ ...plain, seed: 12345 })).toEqual(first);
    expect(run({ ...plain, seed: 12346 }).tokens).not.toEqual(first.tokens);
    const random = run({ ...plain, seed: undefined });
    expect(run({ ...plain, seed: random.seed })).toEqual(random);
    expect(run({ ...plain, seed: undefined }).seed).not.toBe(random.seed);
  });

  test("logits are left unchanged", () => {
    const logits = typicalLogits(500);
    const before = logits.slice();
    const sampler = createSampler(
      { repeatPenalty: 1.3, logitBias: { 3: 5 }, presencePenalty: 1, logprobs: 3 },
      500,
    );
    for (let i = 0; i < 20; i++) sampler.accept(sampler.sample(logits).token);
    expect(logits).toEqual(before);
  });
});

describe("greedy", () => {
  test("takes the likeliest, of equals the lowest id, whatever else is set", () => {
    const logits = Float32Array.of(1, 5, 3, 5, 2);
    const greedy = { temperature: 0, topK: 2, typicalP: 0.1, xtc: { probability: 1, threshold: 0 } };
    expect(createSampler(greedy, 5).sample(logits).token).toBe(1);
    expect(createSampler({ temperature: 0, mirostat: {} }, 5).sample(logits).token).toBe(1);
  });

  test("heeds bias and penalties", () => {
    const logits = Float32Array.of(1, 5, 3, 4, 2);
    const pick = (options: SamplingOptions, context?: SamplerContext, accepted: number[] = []) => {
      const sampler = createSampler({ temperature: 0, ...options }, 5, context);
      for (const token of accepted) sampler.accept(token);
      return sampler.sample(logits).token;
    };
    expect(pick({ logitBias: { 1: -Infinity } })).toBe(3);
    expect(pick({ logitBias: new Map([[0, 10]]) })).toBe(0);
    expect(pick({ repeatPenalty: 2 }, { prompt: [1] })).toBe(3);
    expect(pick({ repeatPenalty: 2 }, {}, [1, 3])).toBe(2);
    expect(pick({ repeatPenalty: 2, repeatLastN: 1 }, { prompt: [1, 3] })).toBe(1);
    expect(pick({ repeatPenalty: 2, repeatLastN: 0 }, { prompt: [1, 3] })).toBe(1);
    expect(pick({ repeatPenalty: 2, repeatLastN: -1 }, { prompt: [1, 3, ...new Array(100).fill(0)] })).toBe(
      2,
    );
    // Presence and frequency look at the answer, not at the prompt.
    expect(pick({ presencePenalty: 1.5 }, { prompt: [1, 1, 1] })).toBe(1);
    expect(pick({ presencePenalty: 1.5 }, {}, [1])).toBe(3);
    expect(pick({ frequencyPenalty: 0.4 }, {}, [1, 1])).toBe(1);
    expect(pick({ frequencyPenalty: 0.4 }, {}, [1, 1, 1])).toBe(3);
    expect(pick({ dry: { multiplier: 2 } }, { prompt: [0, 2, 1, 0, 2] })).toBe(3);
    expect(pick({ dry: { multiplier: 2, lastN: 4 } }, { prompt: [0, 2, 1, 0, 2] })).toBe(1);
    expect(
      pick(
        { dry: { multiplier: 2 } },
        { prompt: [0, 2, 1, 0, 2], tokenText: (id) => `a${id === 0 ? "\n" : ""}` },
      ),
    ).toBe(1);
  });
});

test("min-p alone draws the same tokens whether or not the rest is sorted first", () => {
  // A topK of all tokens makes the chain sort them.
  const random = Xoshiro128.fromSeed(3);
  for (const scale of [0.1, 1, 10, 100, 3000]) {
    const logits = Float32Array.from({ length: 3000 }, () => (random.uniform() - 0.3) * scale);
    for (const minP of [1e-6, 0.01, 0.3, 1]) {
      const options = { temperature: 1.5, topK: 0, minP, seed: 4 };
      const quick = createSampler({ ...options, topP: 1 }, 3000);
      const sorted = createSampler({ ...options, topK: 3000, topP: 1 }, 3000);
      for (let i = 0; i < 20; i++) expect(quick.sample(logits)).toEqual(sorted.sample(logits));
    }
  }
});

test("the whole chain agrees with docs/sampling.md, written plainly in binary64", () => {
  interface Choice {
    id: number;
    logit: number;
  }
  const probabilitiesOf = (choices: readonly Choice[], temperature = 1) =>
    softmax(
      choices.map(({ logit }) => logit - choices[0].logit),
      temperature,
    );

  function plainSample(logits: Float32Array, options: Required<Chain>, random: Xoshiro128): number {
    let left: Choice[] = Array.from(logits, (logit, id) => ({ id, logit }));
    left.sort((a, b) => b.logit - a.logit || a.id - b.id);
    if (options.topK > 0) left = left.slice(0, options.topK);
    let p = probabilitiesOf(left);
    const entropy = -p.reduce((sum, q) => sum + (q > 0 ? q * Math.log(q) : 0), 0);
    const order = [...left.keys()].sort(
      (a, b) => Math.abs(-Math.log(p[a]) - entropy) - Math.abs(-Math.log(p[b]) - entropy),
    );
    let sum = 0;
    const typical = order.filter((i) => sum < options.typicalP && (sum += p[i]) > 0);
    left = left.filter((_, i) => options.typicalP === 1 || typical.includes(i));
    p = probabilitiesOf(left);
    sum = 0;
    left = left.filter((_, i) => sum < options.topP && (sum += p[i]) >= 0);
    p = probabilitiesOf(left);
    left = left.filter((_, i) => p[i] >= options.minP * p[0]);
    p = probabilitiesOf(left);
    const reaching = p.filter((q) => q >= options.xtc.threshold).length;
    if (random.uniform() < options.xtc.probability && reaching >= 2) left = left.slice(reaching - 1);
    p = probabilitiesOf(left, options.temperature);
    let rest = random.uniform();
    return left[p.findIndex((q) => (rest -= q) < 0)].id;
  }

  type Chain = Pick<SamplingOptions, "temperature" | "topK" | "typicalP" | "topP" | "minP" | "xtc">;
  const random = Xoshiro128.fromSeed(11);
  for (let round = 0; round < 1500; round++) {
    const logits = Float32Array.from({ length: 5 + (round % 90) }, () => (random.uniform() - 0.5) * 12);
    const options = {
      temperature: 0.3 + 1.5 * random.uniform(),
      topK: [0, 3, 40][round % 3],
      typicalP: [1, 0.7][round % 2],
      topP: [0.6, 0.95, 0.999][round % 3],
      minP: [0, 0.05, 0.3][(round >> 2) % 3],
      xtc: { probability: 0.5, threshold: 0.1 },
    };
    const { token } = createSampler({ ...options, seed: round }, logits.length).sample(logits);
    expect(token).toBe(plainSample(logits, options, Xoshiro128.fromSeed(round)));
  }
});

describe("order of the chain", () => {
  test("min-p and top-p act before the temperature", () => {
    // At temperature 1 the second token has 0.047 of the first one's probability, at 3 it would have 0.36.
    const logits = Float32Array.of(3.06, 0, 0);
    expect(frequencies(logits, { ...plain, temperature: 3, minP: 0.05 }, 200)).toEqual([200, 0, 0]);
    expect(frequencies(logits, { ...plain, temperature: 3, topP: 0.9 }, 200)).toEqual([200, 0, 0]);
  });

  test("top-p counts the probability of what top-k left", () => {
    // Among the first two, 0.4 and 0.3, the first has 0.571.
    const logits = Float32Array.from([0.4, 0.3, 0.3], Math.log);
    expect(frequencies(logits, { ...plain, topK: 2, topP: 0.55 }, 200)).toEqual([200, 0, 0]);
    expect(frequencies(logits, { ...plain, topP: 0.55 }, 200)[1]).toBeGreaterThan(0);
  });
});

describe("logprobs", () => {
  const logits = typicalLogits(300);
  const exact = softmax(logits).map(Math.log);

  test("are the model's own, whatever the sampling", () => {
    for (const options of [plain, { temperature: 0 }, { temperature: 2, logitBias: { 5: 100 }, topK: 3 }]) {
      const { token, logprob, top } = createSampler({ ...options, logprobs: 5 }, 300).sample(logits);
      expect(logprob).toBeCloseTo(exact[token], 5);
      expect(top).toHaveLength(5);
      const want = [...exact.entries()].sort((a, b) => b[1] - a[1]).slice(0, 5);
      expect(top!.map(([id]) => id)).toEqual(want.map(([id]) => id));
      for (const [i, [, value]] of top!.entries()) expect(value).toBeCloseTo(want[i][1], 5);
    }
  });

  test("0 lists no others, and without it there are none", () => {
    expect(createSampler({ ...plain, logprobs: 0 }, 300).sample(logits)).toMatchObject({ top: [] });
    expect(createSampler(plain, 300).sample(logits)).toEqual({ token: expect.any(Number) });
  });
});

describe("bad input", () => {
  const cases: [options: unknown, code: string, found: string][] = [
    [{ temperature: -0.1 }, "sample.temperature", "temperature is -0.1"],
    [{ temperature: Number.NaN }, "sample.temperature", "temperature is NaN"],
    [{ temperature: Infinity }, "sample.temperature", "temperature is Infinity"],
    [{ temperature: "1" }, "sample.temperature", 'temperature is "1"'],
    [{ temperature: null, topK: -1 }, "sample.top_k", "topK is -1"],
    [{ topK: 1.5 }, "sample.top_k", "topK is 1.5"],
    [{ topP: 0 }, "sample.top_p", "topP is 0"],
    [{ topP: 1.01 }, "sample.top_p", "topP is 1.01"],
    [{ minP: -1 }, "sample.min_p", "minP is -1"],
    [{ minP: 2 }, "sample.min_p", "minP is 2"],
    [{ typicalP: 0 }, "sample.typical_p", "typicalP is 0"],
    [{ repeatPenalty: 0 }, "sample.repeat_penalty", "repeatPenalty is 0"],
    [{ repeatLastN: -2 }, "sample.repeat_last_n", "repeatLastN is -2"],
    [{ presencePenalty: Infinity }, "sample.presence_penalty", "presencePenalty is Infinity"],
    [{ frequencyPenalty: -101 }, "sample.frequency_penalty", "frequencyPenalty is -101"],
    [{ seed: 1.5 }, "sample.seed", "seed is 1.5"],
    [{ seed: 2 ** 53 }, "sample.seed", "seed is 9007199254740992"],
    [{ mirostat: { tau: 0 } }, "sample.mirostat_tau", "mirostat.tau is 0"],
    [{ mirostat: { eta: 0 } }, "sample.mirostat_eta", "mirostat.eta is 0"],
    [{ mirostat: 2 }, "sample.option", "mirostat is 2"],
    [{ mirostat: { tao: 5 } }, "sample.option", '"mirostat.tao"'],
    [{ dry: { multiplier: -1 } }, "sample.dry_multiplier", "dry.multiplier is -1"],
    [{ dry: {} }, "sample.dry_multiplier", "dry.multiplier is"],
    [{ dry: { multiplier: 1, base: 0.5 } }, "sample.dry_base", "dry.base is 0.5"],
    [{ dry: { multiplier: 1, allowedLength: 0 } }, "sample.dry_allowed_length", "dry.allowedLength is 0"],
    [{ dry: { multiplier: 1, lastN: -2 } }, "sample.dry_last_n", "dry.lastN is -2"],
    [{ dry: { multiplier: 1, breakers: [""] } }, "sample.dry_breakers", "dry.breakers is a list"],
    [{ xtc: { probability: 1.5, threshold: 0.1 } }, "sample.xtc_probability", "xtc.probability is 1.5"],
    [{ xtc: { probability: 0.5 } }, "sample.xtc_threshold", "xtc.threshold is"],
    [{ logitBias: { 10: 1 } }, "sample.logit_bias", '"10"'],
    [{ logitBias: { x: 1 } }, "sample.logit_bias", '"x"'],
    [{ logitBias: { 3: Infinity } }, "sample.logit_bias", "token 3 is Infinity"],
    [{ logitBias: new Map([[-1, 1]]) }, "sample.logit_bias", "-1"],
    [{ logprobs: -1 }, "sample.logprobs", "logprobs is -1"],
    [{ logprobs: 11 }, "sample.logprobs", "logprobs is 11"],
    [{ top_p: 0.9 }, "sample.option", '"top_p"'],
    [null, "sample.option", "sampling is null"],
  ];
  test.each(cases)("%o is refused as %s", (options, code, found) => {
    expect(() => createSampler(options as SamplingOptions, 10)).toThrowError(
      expect.objectContaining({ code, found: expect.stringContaining(found) }),
    );
  });

  test.each([{}, { temperature: 0 }, { mirostat: {} }, { topK: 0 }])(
    "NaN logits are refused with %o",
    (options) => {
      const logits = Float32Array.of(1, 2, Number.NaN);
      expect(() => createSampler(options, 3).sample(logits)).toThrowError(
        expect.objectContaining({ code: "sample.nan" }),
      );
    },
  );

  test("barring every token is refused", () => {
    const sampler = createSampler({ logitBias: { 0: -Infinity, 1: -Infinity } }, 2);
    expect(() => sampler.sample(Float32Array.of(1, 2))).toThrowError(
      expect.objectContaining({ code: "sample.empty" }),
    );
  });

  test("a row of another length is refused", () => {
    expect(() => createSampler({}, 3).sample(new Float32Array(4))).toThrowError(
      expect.objectContaining({ code: "sample.logits", found: "4 logits" }),
    );
  });
});
