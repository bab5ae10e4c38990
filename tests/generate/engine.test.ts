import { describe, expect, test } from "vitest";
import { largest } from "../../src/generate/candidates.ts";
import { Engine } from "../../src/generate/engine.ts";
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
  contextLength?: number;
  logits?: Logits;
}

function setUp({ pages = 64, tokens = 40, sequences = 4, contextLength = 512, logits }: Setup = {}) {
  const limits = { tokens, sequences, wanted: sequences, pagesPerSequence: 16 };
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
    const { engine } = setUp();
    for (const length of [1, 2, 31, 32, 33, 39, 40, 41, 64, 65, 100]) {
      const prompt = promptOf(length, length);
      const { tokens, text, result } = await collect(
        engine.generate({ prompt, maxTokens: 70, sampling: greedy }),
      );
      expect(tokens).toEqual(expectedGreedy(prompt, 70));
      expect(text).toBe(tokenizer.decode(tokens));
      expect(result).toMatchObject({
        finishReason: "length",
        promptTokens: length,
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
});
