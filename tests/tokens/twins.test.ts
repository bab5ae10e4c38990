import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Metadata } from "../../src/bytes/metadata.ts";
import { createTokenizer } from "../../src/tokens/tokenizer.ts";
import { root } from "../support/shared.ts";
import { metadataOf } from "./files.ts";
import { byteAlphabet, sentencePieces, wordPieces } from "./vocabularies.ts";

// Each family beside the same thing done slowly, as a textbook would.

const encoder = new TextEncoder();

/** Joins the best pair, the leftmost of equals, until none joins. */
function joined(symbols: string[], rank: (left: string, right: string) => number | undefined): string[] {
  for (;;) {
    let best = Number.POSITIVE_INFINITY;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const found = rank(symbols[i], symbols[i + 1]);
      if (found !== undefined && found < best) {
        best = found;
        at = i;
      }
    }
    if (at < 0) return symbols;
    symbols.splice(at, 2, symbols[at] + symbols[at + 1]);
  }
}

/** Any text, much of it made of what the vocabularies know. */
const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc
    .array(
      fc.constantFrom(
        "the ",
        "Once upon",
        " a time",
        "'ll",
        "12",
        "\n",
        "  ",
        "\t",
        "é",
        "👩‍👩‍👧",
        "Don't",
        "\u0085",
        "\ufeff",
      ),
      { maxLength: 30 },
    )
    .map((parts) => parts.join("")),
);

describe("byte-level pairs", async () => {
  const metadata = await metadataOf(join(root, "models/clavis-stories-q8_0.gguf"));
  const tokenizer = createTokenizer(metadata);

  function slowly(text: string): number[] {
    const tokens = metadata.strings("tokenizer.ggml.tokens");
    const ranks = new Map(metadata.strings("tokenizer.ggml.merges").map((merge, rank) => [merge, rank]));
    const words =
      text.match(
        /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu,
      ) ?? [];
    return words.flatMap((word) => {
      const symbols = Array.from(encoder.encode(word), (byte) => byteAlphabet[byte]);
      return joined(symbols, (left, right) => ranks.get(`${left} ${right}`)).map((s) => tokens.indexOf(s));
    });
  }

  test("agree with the slow way", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect([...tokenizer.encode(text)]).toEqual(slowly(text));
      }),
    );
  });

  test("decode to the text, lone surrogates replaced", () => {
    const units = fc.string({
      unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
    });
    fc.assert(
      fc.property(fc.oneof(units, anyText), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(
          new TextDecoder("utf-8", { ignoreBOM: true }).decode(encoder.encode(text)),
        );
      }),
    );
  });
});

/** A few letters, so that pieces and texts often meet; one that no piece has. */
const letter = fc.constantFrom("a", "b", "c", " ", "é", "😀");
const text = fc.string({ unit: fc.oneof(letter, fc.constant("漢")), maxLength: 24 });
const piece = fc
  .string({ unit: letter, minLength: 1, maxLength: 6 })
  .map((piece) => piece.replaceAll(" ", "▁"));
const pieces = fc
  .array(fc.tuple(piece, fc.integer({ min: -40, max: 0 })), { minLength: 5, maxLength: 60 })
  .map((entries) => new Map(entries));

const tokensOf = (metadata: Metadata) => metadata.strings("tokenizer.ggml.tokens");

describe("SentencePiece pairs", () => {
  const byteIds = (character: string) => Array.from(encoder.encode(character), (byte) => 3 + byte);

  test("agree with the slow way", () => {
    fc.assert(
      fc.property(pieces, text, (scores, plain) => {
        const metadata = sentencePieces("llama", scores);
        const symbols = plain === "" ? [] : [...` ${plain}`.replaceAll(" ", "▁")];
        const rank = (left: string, right: string) => {
          const score = scores.get(left + right);
          return score === undefined ? undefined : -score;
        };
        const ids = joined(symbols, rank).flatMap((symbol) =>
          scores.has(symbol) ? [tokensOf(metadata).indexOf(symbol)] : byteIds(symbol),
        );
        expect([...createTokenizer(metadata).encode(plain)]).toEqual(ids);
      }),
      { numRuns: 500 },
    );
  });

  test("decode to the text", () => {
    fc.assert(
      fc.property(pieces, anyText, (scores, plain) => {
        const tokenizer = createTokenizer(sentencePieces("llama", new Map([...scores, ["▁", -1]])));
        expect(tokenizer.decode(tokenizer.encode(plain))).toBe(plain.replaceAll("▁", " "));
      }),
    );
  });

  test("without byte tokens, neighbouring unknown characters are one unknown token", () => {
    const tokenizer = createTokenizer(
      sentencePieces(
        "llama",
        new Map([
          ["a", -1],
          ["▁", -2],
        ]),
        {},
        { bytes: false },
      ),
    );
    expect([...tokenizer.encode("aéßa漢")].map((id) => tokenizer.text(id))).toEqual([
      "▁",
      "a",
      "<unk>",
      "a",
      "<unk>",
    ]);
  });
});

describe("unigrams", () => {
  test("spell the text as likely as any way does", () => {
    fc.assert(
      fc.property(pieces, fc.string({ unit: letter, maxLength: 10 }), (found, plain) => {
        // With every letter a piece, each text can be spelt; unknown characters have tests of their own.
        const scores = new Map([
          ...["a", "b", "c", "▁", "é", "😀"].map((single) => [single, -30] as const),
          ...found,
        ]);
        const metadata = sentencePieces("t5", scores, {}, { bytes: false });
        const marked = plain === "" ? "" : `▁${plain.replaceAll(" ", "▁")}`;
        // All ways to spell the text from a position on, by recursion.
        const best = (from: number): number => {
          if (from === marked.length) return 0;
          let most = Number.NEGATIVE_INFINITY;
          for (const [candidate, score] of scores) {
            if (marked.startsWith(candidate, from))
              most = Math.max(most, score + best(from + candidate.length));
          }
          return most;
        };
        const tokenizer = createTokenizer(metadata);
        const spelt = Array.from(tokenizer.encode(plain), (id) => tokenizer.text(id));
        expect(spelt.join("")).toBe(marked);
        expect(spelt.reduce((sum, text) => sum + scores.get(text)!, 0)).toBe(best(0));
      }),
      { numRuns: 500 },
    );
  });

  test("prefer one long piece to two short ones when it is likelier", () => {
    const tokenizer = createTokenizer(
      sentencePieces(
        "t5",
        new Map([
          ["▁", -1],
          ["a", -2],
          ["b", -2],
          ["ab", -3.5],
          ["▁a", -2.5],
          ["▁ab", -9],
        ]),
      ),
    );
    // ▁ + ab = -4.5; ▁a + b = -4.5 as well, found later; ▁ + a + b = -5; ▁ab = -9.
    expect([...tokenizer.encode("ab")].map((id) => tokenizer.text(id))).toEqual(["▁", "ab"]);
  });

  test("an unknown character costs ten more than the least likely piece", () => {
    const scores = new Map([
      ["▁", -1],
      ["a", -1],
      ["x", -30],
    ]);
    const tokenizer = createTokenizer(sentencePieces("t5", scores, {}, { bytes: false }));
    expect([...tokenizer.encode("aéa")].map((id) => tokenizer.text(id))).toEqual(["▁", "a", "<unk>", "a"]);
  });
});

describe("word pieces", () => {
  test("agree with the slow way", () => {
    const start = fc
      .string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 })
      .map((p) => `▁${p}`);
    const more = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 });
    const vocabulary = fc.uniqueArray(fc.oneof(start, more), { minLength: 3, maxLength: 40 });
    const words = fc.string({ unit: fc.constantFrom("a", "b", "C", " ", "á"), maxLength: 30 });
    fc.assert(
      fc.property(vocabulary, words, (pieces, plain) => {
        const metadata = wordPieces(pieces);
        const ids = plain
          .toLowerCase()
          .replaceAll("á", "a")
          .split(" ")
          .filter((word) => word !== "")
          .flatMap((word) => {
            const found: number[] = [];
            for (let rest = `▁${word}`; rest !== ""; ) {
              let length = rest.length;
              while (length > 0 && !pieces.includes(rest.slice(0, length))) length--;
              if (length === 0) return [0];
              found.push(tokensOf(metadata).indexOf(rest.slice(0, length)));
              rest = rest.slice(length);
            }
            return found;
          });
        expect([...createTokenizer(metadata).encode(plain)]).toEqual(ids);
      }),
      { numRuns: 500 },
    );
  });
});
