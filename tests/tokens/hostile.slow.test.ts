import { describe, expect, test } from "vitest";
import { createTokenizer, type Tokenizer } from "../../src/tokens/tokenizer.ts";
import { byteAlphabet, byteLevel, sentencePieces, wordPieces } from "./vocabularies.ts";

// A megabyte of what hurts for each algorithm, and a quarter of one for each set of rules. Linear
// code takes well under two seconds for a megabyte; quadratic code, minutes for a quarter.
const megabyte = 2 ** 20;
const boundMs = 10_000;

const filled = (unit: string) => unit.repeat(Math.ceil(megabyte / unit.length));
const texts: Record<string, string> = {
  "one letter": filled("a"),
  "two letters": filled("ab"),
  "capitals and small letters": filled("aA"),
  words: filled("a b "),
  spaces: filled(" "),
  "spaces and then a letter": `${filled(" ")}a`,
  "spaces and then a digit": `${filled(" ")}1`,
  tabs: filled("\t"),
  "line breaks": filled("\n"),
  "spaces and line breaks": filled(" \n"),
  "long lines of spaces": filled(`${" ".repeat(5000)}\n`),
  "combining marks": `e${filled("\u0301")}`,
  "combining marks out of order": `e${filled("\u0301\u0323")}`,
  emoji: filled("👩‍👩‍👧‍👦"),
  digits: filled("7"),
  ideographs: filled("漢"),
  apostrophes: filled("'"),
  punctuation: filled("!?"),
  "private characters": filled("\ue000\u{10ffff}"),
  controls: filled("\u0000\u0085\u200b\ufeff"),
  "lone surrogates": filled("\ud800"),
  "beginnings of a special token": filled("<|en"),
  Hangul: filled("\u1100\u1161"),
};

/** a, aa, aaaa, … and the same of the other characters: the joins reach as far as they can. */
const doubled = (units: readonly string[], times: number): string[] =>
  units.flatMap((unit) => Array.from({ length: times }, (_, k) => unit.repeat(2 ** k)));
const units = ["a", "b", "▁", "\u0301", "7", "\n", "!", "漢"];
const scores = new Map(doubled(units, 7).map((piece, at) => [piece, -at] as const));

const bytePairs = doubled(["a", "Ġ", "Ċ", "7", "!", "'"], 10).flatMap((text) =>
  text.length === 1 ? [] : [`${text.slice(text.length / 2)} ${text.slice(text.length / 2)}`],
);

const tokenizers: Record<string, () => Tokenizer> = {
  "byte pairs": () => createTokenizer(byteLevel(bytePairs, { pre: "llama-bpe" })),
  SentencePiece: () => createTokenizer(sentencePieces("llama", scores)),
  unigram: () => createTokenizer(sentencePieces("t5", scores, { remove_extra_whitespaces: true })),
  WordPiece: () => createTokenizer(wordPieces([...new Set([...scores.keys()].flatMap((p) => [p, `▁${p}`]))])),
};

describe.each(Object.entries(tokenizers))("%s", (_, make) => {
  const tokenizer = make();
  test.each([
    ...["one letter", "words", "spaces", "line breaks", "combining marks out of order", "emoji", "digits"],
    ...["private characters", "controls", "lone surrogates"],
  ])("a megabyte of %s", (name) => {
    const text = texts[name];
    const start = performance.now();
    const ids = tokenizer.encode(text, { special: true });
    tokenizer.decode(ids);
    expect(performance.now() - start).toBeLessThan(boundMs);
  });
});

// One name of each set of rules.
test.each([
  ...["gpt-2", "mpt", "starcoder", "falcon", "qwen2", "qwen35", "ufakzeka", "deepseek-llm", "deepseek-coder"],
  ...["deepseek-v3", "gpt-4o", "tekken", "bloom", "viking", "bailingmoe", "seed-coder"],
])("a quarter of a megabyte of each, split as %s", (pre) => {
  const tokenizer = createTokenizer(byteLevel(bytePairs, { pre }));
  const start = performance.now();
  for (const text of Object.values(texts)) tokenizer.encode(text.slice(0, megabyte / 4));
  expect(performance.now() - start).toBeLessThan(2 * boundMs);
});

describe("hostile vocabularies", () => {
  test("150,000 tokens with common beginnings are read in good time", () => {
    const merges = Array.from({ length: 256 * 256 }, (_, at) => {
      const characters = [at >> 8, at & 255].map((byte) => byteAlphabet[byte]);
      return characters.join(" ");
    });
    const start = performance.now();
    createTokenizer(byteLevel(merges));
    expect(performance.now() - start).toBeLessThan(boundMs);
  });

  test("pieces that overlap everywhere do not make unigrams quadratic", () => {
    const pieces = new Map(Array.from({ length: 128 }, (_, k) => ["a".repeat(k + 1), -k - 1] as const));
    const tokenizer = createTokenizer(sentencePieces("t5", pieces));
    const start = performance.now();
    tokenizer.encode(filled("a"));
    expect(performance.now() - start).toBeLessThan(boundMs);
  });

  test("special tokens that nearly match everywhere do not make the search quadratic", () => {
    const tokens = `${"a".repeat(255)}b`;
    const metadata = byteLevel([], {});
    const texts = [...metadata.strings("tokenizer.ggml.tokens"), tokens];
    const tokenizer = createTokenizer(
      byteLevel([], { tokens: texts, token_type: texts.map((_, id) => (id < 256 ? 1 : 4)) }),
    );
    const start = performance.now();
    tokenizer.encode(filled("a").slice(0, megabyte / 4));
    expect(performance.now() - start).toBeLessThan(boundMs);
  });
});
