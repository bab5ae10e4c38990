import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { load } from "../../src/index.ts";
import { storiesPath } from "../support/golden.ts";
import { describeShared, root, sharedPath } from "../support/shared.ts";

// Perplexities of a passage as llama.cpp has them; golden/perplexity.json names the command. Activations of Q8_0
// models are rounded to 8 bits in both engines, but not in the same places.

interface Scored {
  readonly perplexity: number;
  readonly scoredTokens: number;
  readonly windows: number;
}

const golden = JSON.parse(readFileSync(join(root, "tests/golden/perplexity.json"), "utf8")) as {
  readonly text: string;
  readonly models: readonly { file: string; cases: readonly (Scored & { context: number })[] }[];
  /** Of 30,000 bytes of a held-out text, in windows of 512. */
  readonly validPlain: readonly (Scored & { file: string })[];
};

const openModel = (path: string) => load(path, { mode: "reproducible", sequences: 1, logitRows: 256 });

function expectNear(found: Scored, { perplexity, scoredTokens, windows }: Scored, relative: number): void {
  expect(found).toMatchObject({ scoredTokens, windows });
  expect(Math.abs(found.perplexity / perplexity - 1)).toBeLessThan(relative);
}

async function expectGolden(path: string, file: string, relative: number): Promise<void> {
  await using model = await openModel(path);
  const { cases } = golden.models.find((one) => one.file === file)!;
  expect(cases.length).toBe(4);
  for (const one of cases) {
    expectNear(await model.perplexity(golden.text, { context: one.context }), one, relative);
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

  test.each(golden.validPlain)("of held-out text, $file", async (one) => {
    const bytes = readFileSync(sharedPath("models/valid-plain.txt")).subarray(0, 30_000);
    await using model = await openModel(sharedPath(`models/${one.file}`));
    expectNear(await model.perplexity(bytes.toString("utf8")), one, one.file.includes("f16") ? 2e-4 : 1e-3);
  });
});
