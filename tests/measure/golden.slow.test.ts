import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { load } from "../../src/index.ts";
import { storiesPath } from "../support/golden.ts";
import { describeShared, root, sharedPath } from "../support/shared.ts";

// Perplexities of a passage as llama.cpp has them; golden/perplexity.json names the command. Activations of Q8_0
// models are rounded to 8 bits in both engines, but not in the same places.

interface Golden {
  readonly text: string;
  readonly models: readonly {
    readonly file: string;
    readonly cases: readonly { context: number; perplexity: number; scoredTokens: number; windows: number }[];
  }[];
}

const golden = JSON.parse(readFileSync(join(root, "tests/golden/perplexity.json"), "utf8")) as Golden;

async function expectGolden(path: string, file: string, relative: number): Promise<void> {
  await using model = await load(path, { mode: "reproducible", sequences: 1, logitRows: 256 });
  const { cases } = golden.models.find((one) => one.file === file)!;
  expect(cases.length).toBe(4);
  for (const { context, perplexity, scoredTokens, windows } of cases) {
    const found = await model.perplexity(golden.text, { context });
    expect(found).toMatchObject({ context, scoredTokens, windows });
    expect(Math.abs(found.perplexity / perplexity - 1)).toBeLessThan(relative);
  }
}

describe("perplexity: llama.cpp's", () => {
  test("of clavis-stories in Q8_0, within 0.1 %", () =>
    expectGolden(storiesPath, "clavis-stories-q8_0.gguf", 1e-3));
});

describeShared("models/clavis-stories-f16.gguf", "perplexity: llama.cpp's", () => {
  const file = "clavis-stories-f16.gguf";
  test("of clavis-stories in F16, within 0.02 %", () =>
    expectGolden(sharedPath(`models/${file}`), file, 2e-4));
});
