import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../support/shared.ts";
import { tokenizerOf } from "./files.ts";

interface Cases {
  readonly cases: readonly { readonly text: string; readonly ids: readonly number[] }[];
}

// What llama.cpp makes of these texts with the model that comes with the package.
const golden: Cases = JSON.parse(readFileSync(join(root, "tests/golden/tokens.json"), "utf8"));

describe("the model that comes with the package", async () => {
  const tokenizer = await tokenizerOf(join(root, "models/clavis-stories-q8_0.gguf"));

  test.each(golden.cases)("encodes $text as llama.cpp does", ({ text, ids }) => {
    expect([...tokenizer.encode(text)]).toEqual(ids);
  });

  test.each(golden.cases)("decodes $text back", ({ text, ids }) => {
    expect(tokenizer.decode(ids)).toBe(text);
  });
});
