import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { describeShared, sharedPath } from "../support/shared.ts";
import { tokenizerOf } from "./files.ts";

interface Cases {
  readonly cases: readonly { readonly text: string; readonly ids: readonly number[] }[];
}

const folder = "conformance/tokenizers";

// The ids are those of the original models' Hugging Face tokenizers.
describeShared(folder, "published vocabularies", () => {
  describe.each([
    ["gpt-2", "bpe"],
    ["deepseek-llm", "bpe"],
    ["llama-spm", "spm"],
    ["phi-3", "spm"],
    ["bert-bge", "wordpiece"],
  ] as const)("%s", async (name, kind) => {
    const tokenizer = await tokenizerOf(sharedPath(`${folder}/${name}.gguf`));
    const { cases }: Cases = JSON.parse(readFileSync(sharedPath(`${folder}/${name}.json`), "utf8"));

    test(`is ${kind}`, () => expect(tokenizer.kind).toBe(kind));

    test.each(cases)("encodes $text", ({ text, ids }) => {
      expect([...tokenizer.encode(text)]).toEqual(ids);
    });

    // WordPiece loses case, accents and spaces, so there is nothing to get back.
    if (kind === "wordpiece") return;
    test.each(cases)("decodes $text back", ({ text, ids }) => {
      expect(tokenizer.decode(ids)).toBe(text);
    });
  });
});
