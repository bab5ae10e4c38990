import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { preTokenizer, supportedPreTokenizers } from "../../src/tokens/pre-tokenizers.ts";

function words(name: string, text: string): string[] {
  const found: string[] = [];
  preTokenizer(name).split(text, (word) => found.push(word));
  return found;
}

type Cases = readonly (readonly [text: string, words: readonly string[]])[];

// What each published expression does, read off it by hand.
const byHand: readonly (readonly [name: string, cases: Cases])[] = [
  [
    "gpt-2",
    [
      ["I'll I'LL don't", ["I", "'ll", " I", "'", "LL", " don", "'t"]],
      ["a12 345", ["a", "12", " 345"]],
      ["a  b", ["a", " ", " b"]],
      ["a  ", ["a", "  "]],
      ["a\n\nb", ["a", "\n", "\n", "b"]],
      ["a!? b", ["a", "!?", " b"]],
      ["x\u0301", ["x", "\u0301"]],
      ["½Ⅷ²", ["½Ⅷ²"]],
      // U+0085 is white space and U+FEFF is not, as in Oniguruma and unlike JavaScript's \s.
      ["a\u0085\u0085b", ["a", "\u0085", "\u0085", "b"]],
      ["a \ufeffb", ["a", " \ufeff", "b"]],
      ["a\u00a0\u00a0b", ["a", "\u00a0", "\u00a0", "b"]],
    ],
  ],
  [
    "llama-bpe",
    [
      ["I'll I'LL I'lL'S", ["I", "'ll", " I", "'LL", " I", "'lL", "'S"]],
      ["'ſx", ["'ſ", "x"]],
      ["1234567", ["123", "456", "7"]],
      ["a 12", ["a", " ", "12"]],
      ["\tabc", ["\tabc"]],
      ["!abc !abc !!abc", ["!abc", " !", "abc", " !!", "abc"]],
      ["a \n \n b", ["a", " \n \n", " b"]],
      ["a.\n\nb", ["a", ".\n\n", "b"]],
      ["a   b", ["a", "  ", " b"]],
      ["a\u0085\u0085b", ["a", "\u0085", "\u0085b"]],
      ["x\u0301y", ["x", "\u0301y"]],
    ],
  ],
  [
    "qwen2",
    [
      ["1234", ["1", "2", "3", "4"]],
      ["I'Ve 1", ["I", "'Ve", " ", "1"]],
      ["x\u0301y", ["x", "\u0301y"]],
    ],
  ],
  ["qwen35", [["x\u0301y z\u0301", ["x\u0301y", " z\u0301"]]]],
  [
    "gpt-4o",
    [
      ["helloWorld HTTPServer", ["hello", "World", " HTTPServer"]],
      ["Don'T can't", ["Don'T", " can't"]],
      ["a//\n/b", ["a", "//\n/", "b"]],
      ["12345", ["123", "45"]],
    ],
  ],
  [
    "tekken",
    [
      ["helloWorld", ["hello", "World"]],
      ["can't", ["can", "'t"]],
      ["123", ["1", "2", "3"]],
    ],
  ],
  [
    "starcoder",
    [
      ["a12 b", ["a", "1", "2", " b"]],
      ["a  12", ["a", "  ", "1", "2"]],
      ["I'll", ["I", "'ll"]],
    ],
  ],
  [
    "falcon",
    [
      ["a1234567", ["a", "123", "456", "7"]],
      ["I'll", ["I", "'", "ll"]],
      ["a $5+5 b", ["a", " ", "$", "5", "+", "5", " b"]],
      ["a  (b", ["a", "  ", "(", "b"]],
    ],
  ],
  [
    "deepseek-llm",
    [
      ["Hello, world!\n\n", ["Hello", ",", " world", "!", "\n", "\n"]],
      ["中文 abc", ["中文", " abc"]],
      ["a  b   ", ["a", " ", " b", "   "]],
      ["x12 34", ["x", "12", " ", "34"]],
    ],
  ],
  [
    "deepseek-coder",
    [
      ["int x = 12;", ["int", " x", " = ", "1", "2", ";"]],
      ["中文", ["中文"]],
    ],
  ],
  [
    "deepseek-v3",
    [
      ["12345 67", ["123", "45", " ", "67"]],
      ["中文かな abc", ["中文かな", " abc"]],
      ["_name .x", ["_name", " .", "x"]],
      ["x\u0301y", ["x\u0301y"]],
    ],
  ],
  ["bloom", [["Hello, world. A", ["Hello", ",", " world", ".", " A"]]]],
  ["viking", [["year 2024", ["year", " ", "2", "0", "2", "4"]]]],
  ["seed-coder", [["a!\n\nb1", ["a", "!", "\n\n", "b", "1"]]]],
  ["bailingmoe", [["a!\n\nb1", ["a", "!\n\n", "b", "1"]]]],
  ["ufakzeka", [["Ankara'da", ["Ankara", "'da"]]]],
];

describe.each(byHand)("%s", (name, cases) => {
  test.each(cases)("splits %j", (text, expected) => expect(words(name, text)).toEqual(expected));
});

test.each(supportedPreTokenizers)("%s loses nothing and makes no empty word", (name) => {
  const piece = fc.constantFrom(
    "a",
    "B",
    "'s",
    "'LL",
    "12",
    "  ",
    "\n",
    "\r",
    "!",
    "(",
    "é",
    "e\u0301",
    "中",
    "か",
    "😀",
    "\u0085",
    "\ufeff",
    "…",
  );
  const text = fc.oneof(
    fc.array(piece).map((pieces) => pieces.join("")),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(text, (text) => {
      const found = words(name, text);
      expect(found.join("")).toBe(text);
      expect(found).not.toContain("");
    }),
  );
});
