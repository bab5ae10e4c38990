import { describe, expect, test } from "vitest";
import { largest } from "../../src/generate/candidates.ts";
import { Engine } from "../../src/generate/engine.ts";
import { Xoshiro128 } from "../../src/generate/random.ts";
import type { GenerateStream, Piece } from "../../src/generate/stream.ts";
import {
  bos,
  end,
  HistoryProgram,
  hashed,
  type Logits,
  script,
  tokenizer,
  vocabulary,
} from "./history-program.ts";

interface Setup {
  pages?: number;
  tokens?: number;
  sequences?: number;
  wanted?: number;
  contextLength?: number;
  logits?: Logits;
}

function setUp({
  pages = 64,
  tokens = 40,
  sequences = 4,
  wanted = sequences,
  contextLength = 512,
  logits,
}: Setup = {}) {
  const limits = { tokens, sequences, wanted, pagesPerSequence: 16 };
  const program = new HistoryProgram(pages, limits, logits);
  const plan = { limits, cache: { pages }, vocabulary };
  return { program, engine: new Engine({ program, plan, tokenizer, contextLength }) };
}

const greedy = { temperature: 0 };

/** A prompt of `length` letters that differs with `seed`. */
const promptOf = (length: number, seed = 0): number[] =>
  Array.from({ length }, (_, i) => (i * 7 + seed * 11 + ((i * i) >> 3)) % 26);

/** What greedy generation should give: the history, without an engine or a cache. */
function expectedGreedy(prompt: readonly number[], count: number, logits: Logits = hashed): number[] {
  const history = [...prompt];
  for (let i = 0; i < count; i++) history.push(largest(logits(history), 1).ids[0]);
  return history.slice(prompt.length);
}

async function collect(stream: GenerateStream) {
  const pieces: Piece[] = [];
  for await (const piece of stream) pieces.push(piece);
  return {
    text: pieces.map(({ text }) => text).join(""),
    tokens: pieces.flatMap(({ tokens }) => tokens),
    pieces,
    result: await stream.result,
  };
}

describe("one answer", () => {
  test("greedy tokens are those of the plain loop, for prompts around page and step sizes", async () => {
    for (const length of [1, 2, 31, 32, 33, 39, 40, 41, 64, 65, 100]) {
      const { engine } = setUp();
      const prompt = promptOf(length, length);
      const stream = engine.generate({ prompt, maxTokens: 70, sampling: greedy });
      const { tokens, text, result } = await collect(stream);
      expect(tokens).toEqual(expectedGreedy(prompt, 70));
      expect(text).toBe(tokenizer.decode(tokens));
      expect(result).toMatchObject({
        finishReason: "length",
        promptTokens: length,
        cachedTokens: 0,
        generatedTokens: 70,
        shifts: 0,
      });
    }
  });

  test("an end token ends the answer without being shown", async () => {
    const { engine } = setUp({ logits: script(3, [7, 8]) });
    const { text, tokens, result } = await collect(engine.generate({ prompt: [0, 1, 2] }));
    expect(text).toBe("hi");
    expect(tokens).toEqual([7, 8]);
    expect(result).toMatchObject({ finishReason: "end", generatedTokens: 3 });
  });

  test("ignoreEnd goes on after it", async () => {
    const { engine } = setUp({ logits: script(1, [7, end, 8]) });
    const { text, tokens } = await collect(engine.generate({ prompt: [bos], ignoreEnd: true, maxTokens: 3 }));
    expect(text).toBe("hi");
    expect(tokens).toEqual([7, end, 8]);
  });

  test("a character spread over two tokens comes as a whole", async () => {
    const { engine } = setUp({ logits: script(1, [0, 28, 29, 1, 28]) });
    const { pieces } = await collect(engine.generate({ prompt: [bos] }));
    expect(pieces).toEqual([
      { text: "a", tokens: [0] },
      { text: "é", tokens: [28, 29] },
      { text: "b", tokens: [1] },
      { text: "\ufffd", tokens: [28] },
    ]);
  });

  test("a space before the answer belongs to it only where it continues the prompt", async () => {
    const spaced = {
      ...tokenizer,
      addsSpacePrefix: true,
      bytes: (id: number) => (id === 0 ? Uint8Array.of(0x20, 0x61) : tokenizer.bytes(id)),
    };
    const limits = { tokens: 8, sequences: 1, wanted: 1, pagesPerSequence: 1 };
    const program = new HistoryProgram(1, limits, script(1, [0, 0]));
    const plan = { limits, cache: { pages: 1 }, vocabulary };
    const engine = new Engine({ program, plan, tokenizer: spaced, contextLength: 32 });
    expect((await collect(engine.generate({ prompt: [bos] }))).text).toBe(" a a");
    expect((await collect(engine.generate({ prompt: [bos], continues: false }))).text).toBe("a a");
  });

  test("tokens that the tokenizer has no text for are never drawn", async () => {
    const logits: Logits = () => Float32Array.from({ length: vocabulary }, (_, id) => id);
    const { engine } = setUp({ logits });
    const { tokens } = await collect(engine.generate({ prompt: [bos], maxTokens: 1, sampling: greedy }));
    expect(tokens).toEqual([29]);
  });

  test("logprobs come with the tokens that they are of", async () => {
    const { engine } = setUp({ logits: script(1, [0, 28, 29]) });
    const { pieces } = await collect(
      engine.generate({ prompt: [bos], sampling: { temperature: 0, logprobs: 1 } }),
    );
    expect(pieces.map(({ logprobs }) => logprobs!.map(({ token }) => token))).toEqual([[0], [28, 29]]);
    // One logit is 20 above the others.
    for (const { token, logprob, top } of pieces.flatMap(({ logprobs }) => logprobs!)) {
      expect(logprob).toBeCloseTo(-Math.log1p(29 * Math.exp(-20)), 6);
      expect(top.map(([id]) => id)).toEqual([token]);
    }
  });

  test("penalties count prompt and answer", async () => {
    const { engine } = setUp({ logits: () => Float32Array.from({ length: vocabulary }, (_, id) => 31 - id) });
    const sampling = { temperature: 0, repeatPenalty: 100, repeatLastN: 4 };
    const { tokens } = await collect(engine.generate({ prompt: [0, 1], maxTokens: 6, sampling }));
    expect(tokens).toEqual([2, 3, 4, 0, 1, 2]);
  });

  test("times and seed are told", async () => {
    const { engine } = setUp();
    const { result } = await collect(engine.generate({ prompt: [1], maxTokens: 3, sampling: { seed: 5 } }));
    expect(result.seed).toBe(5);
    expect(result.firstTokenMs).toBeGreaterThanOrEqual(result.promptMs);
    expect(result.promptMs).toBeGreaterThan(0);
    expect(result.generateMs).toBeGreaterThan(0);
  });
});

describe("stop strings", () => {
  const cases: [stop: string[], text: string, finishReason: string, stopString: string | undefined][] = [
    [["dog"], "a", "stop", "dog"],
    [["gc"], "ado", "stop", "gc"],
    [["cat", "adog"], "", "stop", "adog"],
    [["dogs"], "adogcat", "end", undefined],
    [["catx"], "adogcat", "end", undefined],
  ];
  test.each(cases)("%j", async (stop, text, finishReason, stopString) => {
    const { engine } = setUp({ logits: script(1, [...tokenizer.encode("adogcat")]) });
    const shown = await collect(engine.generate({ prompt: [bos], stop }));
    expect(shown.text).toBe(text);
    expect(shown.result).toMatchObject({ finishReason, stopString });
  });

  test("text that may begin one is shown once it is known not to, with its tokens", async () => {
    const { engine } = setUp({ logits: script(1, [...tokenizer.encode("adobe")]) });
    const { pieces } = await collect(engine.generate({ prompt: [bos], stop: ["dog"], maxTokens: 4 }));
    expect(pieces).toEqual([
      { text: "a", tokens: [0] },
      { text: "dob", tokens: [3, 14, 1] },
    ]);
  });

  test("a control token may be named, and text held back before it is shown", async () => {
    const { engine } = setUp({ logits: script(1, [0, 3, bos, 4]) });
    const { text, result } = await collect(engine.generate({ prompt: [1], stop: ["dog", "<26>"] }));
    expect(text).toBe("ad");
    expect(result).toMatchObject({ finishReason: "stop", stopString: "<26>" });
  });

  test("the last text is shown where the answer ends within a possible stop string", async () => {
    const { engine } = setUp({ logits: script(1, [...tokenizer.encode("ado")]) });
    expect((await collect(engine.generate({ prompt: [bos], stop: ["dog"] }))).text).toBe("ado");
  });
});

describe("context", () => {
  test("a prompt that leaves no room for a token is an error, with both numbers", () => {
    const { engine } = setUp({ contextLength: 64 });
    for (const overflow of ["error", "shift"] as const) {
      expect(() => engine.generate({ prompt: promptOf(64), overflow })).toThrowError(
        expect.objectContaining({
          code: "context.overflow",
          found: "a prompt of 64 tokens",
          expected: "at most 63 for a context of 64",
        }),
      );
    }
  });

  test("the answer ends with the context", async () => {
    const { engine } = setUp({ contextLength: 64 });
    const prompt = promptOf(60);
    const { tokens, result } = await collect(engine.generate({ prompt, sampling: greedy }));
    expect(tokens).toEqual(expectedGreedy(prompt, 4));
    expect(result).toMatchObject({ finishReason: "length", generatedTokens: 4, shifts: 0 });
  });

  test("the context is no longer than the pages that one sequence may have", () => {
    expect(setUp({ contextLength: 10_000 }).engine.contextLength).toBe(16 * 32);
    expect(setUp({ contextLength: 10_000, pages: 3 }).engine.contextLength).toBe(3 * 32);
  });

  test.each([undefined, 0, 1, 20, 32])(
    "a shift keeps the first tokens and the newer half (keep %s)",
    async (keep) => {
      const { engine } = setUp({ contextLength: 64 });
      const prompt = [bos, ...promptOf(49)];
      const kept = keep ?? 1;
      const want: number[] = [];
      let history = [...prompt];
      let shifts = 0;
      while (want.length < 150) {
        const next = expectedGreedy(history, 1)[0];
        want.push(next);
        history.push(next);
        if (history.length === 64 && want.length < 150) {
          const newer = Math.floor((64 - kept) / 2);
          history = [...history.slice(0, kept), ...history.slice(-newer)];
          shifts++;
        }
      }
      const request = { prompt, maxTokens: 150, sampling: greedy, overflow: "shift", keep } as const;
      const { tokens, result } = await collect(engine.generate(request));
      expect(tokens).toEqual(want);
      expect(result).toMatchObject({ finishReason: "length", generatedTokens: 150, shifts });
      expect(shifts).toBeGreaterThan(2);
    },
  );
});

describe("prefix reuse", () => {
  test("a second prompt takes the full pages of the first, and gives the same tokens", async () => {
    const { engine, program } = setUp();
    const prompt = promptOf(100);
    const first = await collect(engine.generate({ prompt, maxTokens: 40, sampling: greedy }));
    program.batches.length = 0;
    const second = await collect(engine.generate({ prompt, maxTokens: 40, sampling: greedy }));
    expect(second.tokens).toEqual(first.tokens);
    expect(second.result.cachedTokens).toBe(96);
    expect(program.batches[0].tokens.length).toBe(4);
  });

  test("the next turn of a chat finds prompt and answer of the last", async () => {
    const { engine } = setUp();
    const prompt = promptOf(50);
    const { tokens } = await collect(engine.generate({ prompt, maxTokens: 50, sampling: greedy }));
    const next = [...prompt, ...tokens, ...promptOf(10, 3)];
    const answer = await collect(engine.generate({ prompt: next, maxTokens: 20, sampling: greedy }));
    // The last token of the first answer was drawn but never computed: 99 of 100 are in the cache.
    expect(answer.result.cachedTokens).toBe(96);
    expect(answer.tokens).toEqual(expectedGreedy(next, 20));
  });

  test("a prompt of whole pages still computes its last page, for the logits", async () => {
    const { engine } = setUp();
    const prompt = promptOf(64);
    await engine.generate({ prompt, maxTokens: 1 }).result;
    const { tokens, result } = await collect(engine.generate({ prompt, maxTokens: 5, sampling: greedy }));
    expect(result.cachedTokens).toBe(32);
    expect(tokens).toEqual(expectedGreedy(prompt, 5));
  });
});

describe("several at once", () => {
  /** Requests of all lengths, sampled with seeds. */
  const requests = Array.from({ length: 14 }, (_, i) => ({
    prompt: promptOf(1 + ((i * 37) % 130), i % 5),
    maxTokens: 5 + ((i * 23) % 60),
    sampling: { temperature: 1, topK: 8, seed: i },
  }));

  async function alone(): Promise<number[][]> {
    const answers: number[][] = [];
    for (const request of requests) answers.push((await collect(setUp().engine.generate(request))).tokens);
    return answers;
  }

  test.each([
    { name: "room for all", pages: 200, sequences: 14, tokens: 64 },
    { name: "four at once", pages: 64, sequences: 4, tokens: 40 },
    { name: "small steps", pages: 64, sequences: 4, tokens: 5 },
    { name: "no step larger than the sequences", pages: 64, sequences: 6, tokens: 6 },
    { name: "too few pages", pages: 9, sequences: 8, tokens: 40 },
    { name: "hardly any pages", pages: 6, sequences: 14, tokens: 16 },
  ])("answers are those of requests alone: $name", async ({ pages, sequences, tokens }) => {
    const { engine, program } = setUp({ pages, sequences, tokens, contextLength: 192 });
    const answers = await Promise.all(requests.map((request) => collect(engine.generate(request))));
    expect(answers.map((answer) => answer.tokens)).toEqual(await alone());
    expect(Math.max(...program.batches.map(({ pageTables }) => pageTables.length))).toBeGreaterThan(1);
  });

  test("sequences are sent back and computed again when pages run out", async () => {
    // Five prompts of 20 tokens start in a page each, and all want a second and a third one.
    const { engine, program } = setUp({ pages: 9, sequences: 5, contextLength: 128 });
    const prompts = Array.from({ length: 5 }, (_, i) => promptOf(20, i));
    const streams = prompts.map((prompt) => engine.generate({ prompt, maxTokens: 100, sampling: greedy }));
    const answers = await Promise.all(streams.map(collect));
    for (const [i, { tokens }] of answers.entries()) expect(tokens).toEqual(expectedGreedy(prompts[i], 100));
    const computed = program.batches.reduce((sum, { tokens }) => sum + tokens.length, 0);
    expect(computed).toBeGreaterThan(5 * 119);
  });

  test("tokens of running answers go on while a long prompt is read", async () => {
    const { engine, program } = setUp({ tokens: 10 });
    const first = engine.generate({ prompt: [1], maxTokens: 30, sampling: greedy });
    await first.next();
    program.batches.length = 0;
    const second = engine.generate({ prompt: promptOf(90), maxTokens: 1, sampling: greedy });
    await second.result;
    const sizes = program.batches.map(({ slots }) => Array.from(slots).filter((slot) => slot === 0).length);
    // Nine tokens of the prompt in each step, and one of the answer.
    expect(sizes.filter((size) => size === 1).length).toBeGreaterThanOrEqual(10);
    expect(program.batches.some(({ tokens }) => tokens.length === 10)).toBe(true);
    await first.result;
  });

  test("requests made together share the first step", async () => {
    const { engine, program } = setUp();
    const streams = [1, 2, 3].map((token) => engine.generate({ prompt: [token], maxTokens: 1 }));
    await Promise.all(streams.map(({ result }) => result));
    expect(program.batches).toHaveLength(1);
    expect(program.batches[0].pageTables).toHaveLength(3);
  });
});

test("any load, with requests and aborts at any time, gives the tokens of the plain loop", async () => {
  const random = Xoshiro128.fromSeed(2024);
  const below = (n: number) => Math.floor(random.uniform() * n);
  let aborted = 0;
  let cached = 0;
  for (let round = 0; round < 25; round++) {
    const sequences = 1 + below(6);
    const { engine } = setUp({
      pages: 4 + below(12),
      sequences,
      tokens: sequences + below(40),
      contextLength: 120,
    });
    const answers = Array.from({ length: 10 }, async () => {
      for (let wait = below(30); wait > 0; wait--) await new Promise((resolve) => setImmediate(resolve));
      const prompt = promptOf(1 + below(100), below(3));
      const maxTokens = 1 + below(120 - prompt.length);
      const controller = new AbortController();
      const stream = engine.generate({ prompt, maxTokens, sampling: greedy, signal: controller.signal });
      const abortAfter = below(4) === 0 ? below(20) : Number.POSITIVE_INFINITY;
      const tokens: number[] = [];
      try {
        for await (const piece of stream) {
          tokens.push(...piece.tokens);
          if (tokens.length >= abortAfter) controller.abort();
        }
        cached += (await stream.result).cachedTokens;
        expect(tokens).toEqual(expectedGreedy(prompt, maxTokens));
      } catch (error) {
        expect(error).toBe(controller.signal.reason);
        aborted++;
      }
    });
    await Promise.all(answers);
    const most = promptOf(engine.contextLength - 1, 25);
    const last = await collect(engine.generate({ prompt: most, maxTokens: 1, sampling: greedy }));
    expect(last.tokens).toEqual(expectedGreedy(most, 1));
  }
  expect(aborted).toBeGreaterThan(20);
  expect(cached).toBeGreaterThan(500);
});

describe("ending early", () => {
  test("timers have their turn although the device never waits", async () => {
    const { engine } = setUp();
    const signal = AbortSignal.timeout(20);
    const stream = engine.generate({ prompt: [1], overflow: "shift", signal });
    await expect(collect(stream)).rejects.toThrowError(expect.objectContaining({ name: "TimeoutError" }));
  });

  /** Afterwards every page can be had again: a prompt that needs all of them is answered. */
  async function expectAllPagesBack(engine: Engine, length: number): Promise<void> {
    const prompt = promptOf(length, 25);
    const { tokens } = await collect(engine.generate({ prompt, maxTokens: 1, sampling: greedy }));
    expect(tokens).toEqual(expectedGreedy(prompt, 1));
  }

  test("an abort while queued, while the prompt is read, and while generating", async () => {
    for (const steps of [0, 1, 2, 8]) {
      const { engine, program } = setUp({ pages: 4, tokens: 30, contextLength: 128 });
      const controller = new AbortController();
      program.beforeStep = () => {
        if (program.batches.length === steps) controller.abort();
      };
      const stream = engine.generate({ prompt: promptOf(80), maxTokens: 40, signal: controller.signal });
      const reading = collect(stream);
      if (steps === 0) controller.abort();
      await expect(reading).rejects.toThrowError(expect.objectContaining({ name: "AbortError" }));
      await expect(stream.result).rejects.toThrowError(expect.objectContaining({ name: "AbortError" }));
      await expectAllPagesBack(engine, 127);
    }
  });

  test("the signal's own reason is thrown, also by a signal aborted before", async () => {
    const { engine, program } = setUp();
    const reason = new Error("changed my mind");
    await expect(collect(engine.generate({ prompt: [1], signal: AbortSignal.abort(reason) }))).rejects.toBe(
      reason,
    );
    await expect(engine.logits([1], AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(program.batches).toHaveLength(0);
  });

  test("others go on when one is aborted", async () => {
    const { engine } = setUp();
    const controller = new AbortController();
    const aborted = engine.generate({ prompt: promptOf(50, 1), maxTokens: 400, signal: controller.signal });
    const other = engine.generate({ prompt: promptOf(50, 2), maxTokens: 60, sampling: greedy });
    await aborted.next();
    controller.abort();
    await expect(aborted.next()).rejects.toThrowError(expect.objectContaining({ name: "AbortError" }));
    expect((await collect(other)).tokens).toEqual(expectedGreedy(promptOf(50, 2), 60));
  });

  test("leaving the loop ends the answer, and the result says so", async () => {
    const { engine, program } = setUp({ pages: 4, contextLength: 128 });
    const stream = engine.generate({ prompt: promptOf(20), maxTokens: 100, sampling: greedy });
    let pieces = 0;
    for await (const _ of stream) if (++pieces === 3) break;
    expect(await stream.result).toMatchObject({ finishReason: "cancelled", promptTokens: 20 });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    await expectAllPagesBack(engine, 127);
    expect(program.batches.length).toBeLessThan(20);
  });

  test("an answer is made whether or not it is read", async () => {
    const { engine } = setUp();
    const stream = engine.generate({ prompt: promptOf(20), maxTokens: 10, sampling: greedy });
    expect((await stream.result).generatedTokens).toBe(10);
    expect((await collect(stream)).tokens).toEqual(expectedGreedy(promptOf(20), 10));
  });

  test("close ends what runs and waits for the step, and refuses what comes", async () => {
    const { engine } = setUp({ sequences: 1 });
    const streams = [1, 2].map((token) => engine.generate({ prompt: [token], maxTokens: 400 }));
    await streams[0].next();
    const readings = streams.map(collect);
    for (const reading of readings) reading.catch(() => {});
    await engine.close();
    for (const reading of readings) {
      await expect(reading).rejects.toThrowError(expect.objectContaining({ code: "engine.closed" }));
    }
    expect(() => engine.generate({ prompt: [1] })).toThrowError(
      expect.objectContaining({ code: "engine.closed" }),
    );
    await expect(engine.logits([1])).rejects.toThrowError(expect.objectContaining({ code: "engine.closed" }));
    await engine.close();
  });
});

describe("failures", () => {
  test("an error of the device fails the requests of that step, and no others", async () => {
    const { engine, program } = setUp({ sequences: 2 });
    const broken = new Error("the device broke");
    program.beforeStep = () => {
      if (program.batches.length === 5) throw broken;
    };
    const streams = [1, 2, 3].map((seed) =>
      engine.generate({ prompt: promptOf(20, seed), maxTokens: 30, sampling: greedy }),
    );
    const [first, second, third] = await Promise.allSettled(streams.map(collect));
    expect(first).toEqual({ status: "rejected", reason: broken });
    expect(second).toEqual({ status: "rejected", reason: broken });
    expect(third).toMatchObject({ value: { tokens: expectedGreedy(promptOf(20, 3), 30) } });
  });

  test("NaN logits fail their own request, after the text made before", async () => {
    const logits: Logits = (history) => {
      const row = hashed(history);
      if (history[0] === 7 && history.length === 13) row[3] = Number.NaN;
      return row;
    };
    const { engine } = setUp({ logits });
    const bad = engine.generate({ prompt: [7, ...promptOf(9)], maxTokens: 30, sampling: greedy });
    const good = engine.generate({ prompt: promptOf(10), maxTokens: 30, sampling: greedy });
    const shown: string[] = [];
    const reading = (async () => {
      for await (const { text } of bad) shown.push(text);
    })();
    await expect(reading).rejects.toThrowError(expect.objectContaining({ code: "sample.nan" }));
    expect(shown.join("")).toHaveLength(3);
    expect((await collect(good)).tokens).toEqual(expectedGreedy(promptOf(10), 30));
  });

  const cases: [request: object, code: string][] = [
    [{ prompt: [] }, "generate.prompt"],
    [{ prompt: [1, 32] }, "generate.token"],
    [{ prompt: [-1] }, "generate.token"],
    [{ prompt: [1.5] }, "generate.token"],
    [{ prompt: ["1"] }, "generate.token"],
    [{ maxTokens: 0 }, "generate.max_tokens"],
    [{ maxTokens: 2.5 }, "generate.max_tokens"],
    [{ stop: [""] }, "generate.stop"],
    [{ stop: "x" }, "generate.stop"],
    [{ overflow: "drop" }, "generate.overflow"],
    [{ keep: -1 }, "generate.keep"],
    [{ keep: 257 }, "generate.keep"],
    [{ sampling: { topP: 3 } }, "sample.top_p"],
  ];
  test.each(cases)("%j is refused as %s", (request, code) => {
    const { engine } = setUp();
    expect(() => engine.generate({ prompt: [1], ...request } as never)).toThrowError(
      expect.objectContaining({ code }),
    );
  });

  test("a plan without room for a step is refused", () => {
    expect(() => setUp({ sequences: 0 })).toThrowError(expect.objectContaining({ code: "engine.limits" }));
    expect(() => setUp({ pages: 0 })).toThrowError(expect.objectContaining({ code: "engine.limits" }));
  });
});

describe("logits", () => {
  test("are those after the prompt, up to the full context, and the caller's own", async () => {
    const { engine } = setUp({ contextLength: 96 });
    const rows = await Promise.all([1, 50, 96].map((length) => engine.logits(promptOf(length))));
    for (const [i, length] of [1, 50, 96].entries()) {
      expect(rows[i]).toEqual(hashed(promptOf(length)));
    }
    await expect(engine.logits(promptOf(97))).rejects.toThrowError(
      expect.objectContaining({ code: "context.overflow", expected: "at most 96 for a context of 96" }),
    );
  });
});

describe("scores: logits after every token", () => {
  /** Scores a prompt and expects the logits of the plain loop, each once and in order. */
  async function expectScored(engine: Engine, prompt: readonly number[], first: number): Promise<void> {
    const rows: { index: number; logits: Float32Array }[] = [];
    await engine.score(prompt, first, (logits, index) => rows.push({ index, logits: logits.slice() }));
    expect(rows.map(({ index }) => index)).toEqual(
      Array.from({ length: prompt.length - first }, (_, i) => first + i),
    );
    for (const { index, logits } of rows) expect(logits).toEqual(hashed(prompt.slice(0, index + 1)));
  }

  test.each([4, 5, 7, 40, 100])(
    "from any token on, with room for %i rows in a step of 40",
    async (wanted) => {
      for (const length of [1, 2, 33, 40, 41, 96]) {
        for (const first of [0, 1, length >> 1, length - 1].filter((index) => index < length)) {
          const { engine } = setUp({ wanted });
          await expectScored(engine, promptOf(length), first);
        }
      }
    },
  );

  test("take no more steps than rows and tokens ask for", async () => {
    const { engine, program } = setUp({ wanted: 3 + 16, sequences: 4, tokens: 40 });
    await expectScored(engine, promptOf(64), 32);
    // A sequence may have a row of its own and the 15 that four sequences leave.
    expect(program.batches.map(({ tokens, wanted }) => [tokens.length, wanted.length])).toEqual([
      [40, 8],
      [16, 16],
      [8, 8],
    ]);
  });

  test("tokens whose logits are wanted are computed again, those before them found in the cache", async () => {
    const { engine, program } = setUp({ wanted: 40 });
    await expectScored(engine, promptOf(96), 70);
    program.batches.length = 0;
    await expectScored(engine, promptOf(96), 70);
    expect(program.batches[0].positions[0]).toBe(64);
    await expectScored(engine, promptOf(96), 0);
  });

  test.each([
    ["room for all", 64],
    ["too few pages, so that some are sent back", 9],
  ])("beside answers, with %s", async (_, pages) => {
    const { engine } = setUp({ pages, wanted: 12, contextLength: 256 });
    const answers = [3, 20, 41].map(async (length, i) => {
      const { tokens } = await collect(
        engine.generate({ prompt: promptOf(length, i), maxTokens: 60, sampling: greedy }),
      );
      expect(tokens).toEqual(expectedGreedy(promptOf(length, i), 60));
    });
    const scores = [90, 100].map((length, i) => expectScored(engine, promptOf(length, i + 5), 10 * i));
    await Promise.all([...answers, ...scores]);
  });

  test("an error of the reader, an abort and closing end them, and the pages come back", async () => {
    const { engine, program } = setUp({ pages: 4, wanted: 8, contextLength: 128 });
    const boom = new Error("boom");
    const failing = engine.score(promptOf(100), 0, (_, index) => {
      if (index === 20) throw boom;
    });
    await expect(failing).rejects.toBe(boom);
    const controller = new AbortController();
    const aborted = engine.score(
      promptOf(100, 1),
      0,
      (_, index) => {
        if (index === 20) controller.abort(boom);
      },
      controller.signal,
    );
    await expect(aborted).rejects.toBe(boom);
    await expectScored(engine, promptOf(127, 2), 100);
    program.beforeStep = () => void engine.close();
    await expect(engine.score(promptOf(100, 3), 0, () => {})).rejects.toMatchObject({
      code: "engine.closed",
    });
  });
});
