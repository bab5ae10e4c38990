import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Metadata, type MetadataValue } from "../../src/bytes/metadata.ts";
import { StreamDecoder } from "../../src/tokens/stream-decoder.ts";
import { createTokenizer, type Tokenizer } from "../../src/tokens/tokenizer.ts";
import { TokenType } from "../../src/tokens/vocabulary.ts";
import { root } from "../support/shared.ts";
import { codeOf, tokenizerOf } from "./files.ts";
import { byteLevel, sentencePieces, tokenizerMetadata, wordPieces } from "./vocabularies.ts";

const textsOf = (tokenizer: Tokenizer, ids: Int32Array) => Array.from(ids, (id) => tokenizer.text(id));

describe("special tokens", async () => {
  const tokenizer = await tokenizerOf(join(root, "models/clavis-stories-q8_0.gguf"));

  test("are recognised when asked for", () => {
    const text = "<|user|>\nhi<|end|>";
    expect(textsOf(tokenizer, tokenizer.encode(text, { special: true }))).toEqual([
      ...["<|user|>", "Ċ", "h", "i", "<|end|>"],
    ]);
    expect(tokenizer.encode(text)).not.toContain(tokenizer.eos);
  });

  test("are shown when asked for", () => {
    const ids = tokenizer.encode("<|user|>hi<|end|>", { special: true });
    expect(tokenizer.decode(ids)).toBe("hi");
    expect(tokenizer.decode(ids, { special: true })).toBe("<|user|>hi<|end|>");
  });

  test("have no bytes, and say that they are control tokens", () => {
    expect(tokenizer.bytes(tokenizer.eos!)).toHaveLength(0);
    expect(tokenizer.isControl(tokenizer.eos!)).toBe(true);
    expect(tokenizer.isControl(tokenizer.encode("a")[0])).toBe(false);
  });

  test("end an answer if they are any of those known to", () => {
    expect(Array.from(tokenizer.endTokens, (id) => tokenizer.text(id))).toEqual(["<|end|>", "<|endoftext|>"]);
  });

  test("the file's add_bos_token is followed", () => {
    expect([...tokenizer.encode("", { addSpecial: true })]).toEqual([tokenizer.bos]);
  });

  test("the longest of those that start at a place is taken, wherever others end", () => {
    const added = ["<a>", "<a><b>", "<b>c"];
    const tokens = [...byteLevel([]).strings("tokenizer.ggml.tokens"), ...added];
    const types = tokens.map((token) => (added.includes(token) ? TokenType.userDefined : TokenType.normal));
    const odd = createTokenizer(byteLevel([], { tokens, token_type: types }));
    expect(textsOf(odd, odd.encode("<a><b>c<b>c<a>x<a"))).toEqual([
      "<a><b>",
      "c",
      "<b>c",
      "<a>",
      "x",
      "<",
      "a",
    ]);
    expect(odd.decode(odd.encode("<a><b>c<b>c<a>x<a"))).toBe("<a><b>c<b>c<a>x<a");
  });
});

describe("what is added at the ends, where the file does not say", () => {
  const added = (metadata: Metadata) => {
    const tokenizer = createTokenizer(metadata);
    return textsOf(tokenizer, tokenizer.encode("", { addSpecial: true }));
  };
  const pieces = new Map([["▁", -1]]);
  test("SentencePiece: bos", () => expect(added(sentencePieces("llama", pieces))).toEqual(["<s>"]));
  test("unigram: eos", () => expect(added(sentencePieces("t5", pieces))).toEqual(["</s>"]));
  test("WordPiece: [CLS] and [SEP]", () => expect(added(wordPieces(["▁a"]))).toEqual(["[CLS]", "[SEP]"]));
  test("GPT-2: nothing", () => expect(added(byteLevel([], { bos_token_id: 0 }))).toEqual([]));
  test("Llama 3: bos", () =>
    expect(added(byteLevel([], { pre: "llama-bpe", bos_token_id: 65 }))).toHaveLength(1));
  test("both, if it says so", () => {
    expect(added(sentencePieces("llama", pieces, { add_eos_token: true }))).toEqual(["<s>", "</s>"]);
  });
});

test("Llama's usual ids hold where the file names none, if they are control tokens", () => {
  const vocabulary = (types: number[]) =>
    createTokenizer(
      tokenizerMetadata({ model: "llama", tokens: ["<unk>", "<s>", "</s>", "▁a"], token_type: types }),
    );
  const { control, normal, unknown } = TokenType;
  const usual = vocabulary([unknown, control, control, normal]);
  expect([usual.bos, usual.eos]).toEqual([1, 2]);
  expect(textsOf(usual, usual.encode("a b", { addSpecial: true }))).toEqual(["<s>", "▁a", "<unk>"]);
  const other = vocabulary([normal, normal, normal, normal]);
  expect([other.bos, other.eos]).toEqual([undefined, undefined]);
});

describe("Llama 3", () => {
  test("takes a word that is a token as a whole, though no merges lead there", () => {
    const tokens = [...byteLevel([]).strings("tokenizer.ggml.tokens"), "abc"];
    const types = tokens.map(() => TokenType.normal);
    const whole = createTokenizer(byteLevel([], { tokens, token_type: types, pre: "llama-bpe" }));
    expect(textsOf(whole, whole.encode("abc"))).toEqual(["abc"]);
    const spelt = createTokenizer(byteLevel([], { tokens, token_type: types, pre: "qwen2" }));
    expect(textsOf(spelt, spelt.encode("abc"))).toEqual(["a", "b", "c"]);
  });
});

test("Qwen composes letters and marks first; Llama 3 does not", () => {
  const composed = createTokenizer(byteLevel([], { pre: "qwen2" }));
  expect(composed.decode(composed.encode("e\u0301"))).toBe("\u00e9");
  const kept = createTokenizer(byteLevel([], { pre: "llama-bpe" }));
  expect(kept.decode(kept.encode("e\u0301"))).toBe("e\u0301");
});

describe("SentencePiece", () => {
  const pieces = new Map([
    ["▁", -5],
    ["a", -5],
    ["▁a", -1],
    ["aa", -2],
    ["▁▁", -3],
    ["\n", -4],
  ]);
  const encode = (text: string, extra: Record<string, MetadataValue> = {}) => {
    const tokenizer = createTokenizer(sentencePieces("llama", pieces, extra));
    return textsOf(tokenizer, tokenizer.encode(text, { special: true }));
  };

  test("puts a space before the text, and before what follows a special token", () => {
    expect(encode("a")).toEqual(["▁a"]);
    expect(encode("a</s>a")).toEqual(["▁a", "</s>", "▁a"]);
    expect(encode("a", { add_space_prefix: false })).toEqual(["a"]);
  });

  test("leaves out extra spaces where the file says so", () => {
    expect(encode("  a   a  ")).toEqual(["▁▁", "▁a", "▁▁", "▁a", "▁▁"]);
    expect(encode("  a   a  ", { remove_extra_whitespaces: true })).toEqual(["▁a", "▁a"]);
    expect(encode("   ", { remove_extra_whitespaces: true })).toEqual([]);
  });

  test("spells what it does not have by bytes, and not the text of a byte token", () => {
    expect(encode("é", { add_space_prefix: false })).toEqual(["<0xC3>", "<0xA9>"]);
    expect(encode("<0x41>", { add_space_prefix: false })).toHaveLength(6);
  });

  test("Phi-3's chat tokens swallow the white space after them", () => {
    const tokens = ["<unk>", "<s>", "</s>", "▁", "a", "▁a", "<|user|>"];
    const metadata = (architecture: string) =>
      new Metadata({
        "general.architecture": architecture,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [2, 3, 3, 1, 1, 1, 3],
        "tokenizer.ggml.scores": [0, 0, 0, -1, -1, -1, 0],
        "tokenizer.ggml.unknown_token_id": 0,
      });
    const encoded = (architecture: string) => {
      const tokenizer = createTokenizer(metadata(architecture));
      return textsOf(tokenizer, tokenizer.encode("<|user|>\n a", { special: true }));
    };
    expect(encoded("phi3")).toEqual(["<|user|>", "▁a"]);
    expect(encoded("llama")).toEqual(["<|user|>", "▁", "<unk>", "▁a"]);
  });
});

describe("WordPiece", () => {
  const tokenizer = createTokenizer(
    wordPieces(["▁hello", "▁world", "▁!", "▁é", "▁e", "▁漢", "▁a", "s", "▁$", "▁σ", "σ"]),
  );
  const encode = (text: string) => textsOf(tokenizer, tokenizer.encode(text));
  test.each([
    ["small letters, no accents", "HELLO É", ["▁hello", "▁e"]],
    ["punctuation stands alone", "hello!!world", ["▁hello", "▁!", "▁!", "▁world"]],
    ["so do ASCII symbols and ideographs", "$漢漢a", ["▁$", "▁漢", "▁漢", "▁a"]],
    ["later pieces have no mark", "hellos", ["▁hello", "s"]],
    ["a word that cannot be spelt is unknown", "hellox as", ["[UNK]", "▁a", "s"]],
    ["so is one of more than a hundred characters", `a${"s".repeat(100)}`, ["[UNK]"]],
    ["one of a hundred is not", `a${"s".repeat(99)}`, ["▁a", ...Array.from({ length: 99 }, () => "s")]],
    ["control and format characters go", "he\u200bl\u0000lo\u0007", ["▁hello"]],
    ["no-break and ideographic spaces part words", "a\u00a0a\u3000a\ta", ["▁a", "▁a", "▁a", "▁a"]],
    ["the last Σ is like any other", "ΣΣ", ["▁σ", "σ"]],
  ])("%s", (_, text, expected) => expect(encode(text)).toEqual(expected));

  test("decodes to words with spaces between", () => {
    expect(tokenizer.decode(tokenizer.encode("Hellos  world"))).toBe("hellos world");
  });
});

describe("a precompiled character map", () => {
  /** The units of a double-array trie that has one key of one byte. */
  const trieOf = (key: number) => {
    const units = new Uint32Array(512);
    // From the root's offset 0, a byte leads to the unit at its number; that one's offset leads to its value.
    units[0] = 0;
    units[key] = key | 0x100 | (256 << 10);
    units[key ^ 256 ^ key] = 0;
    units[key ^ 256] = 0x80000000;
    return units;
  };
  const blob = (units: Uint32Array, replacements: string) => [
    ...new Uint8Array(Uint32Array.of(units.byteLength).buffer),
    ...new Uint8Array(units.buffer),
    ...new TextEncoder().encode(replacements),
  ];
  const pieces = new Map([
    ["▁", -1],
    ["a", -1],
    ["b", -1],
    ["B", -1],
  ]);
  const make = (charsmap: number[]) =>
    createTokenizer(sentencePieces("t5", pieces, { precompiled_charsmap: charsmap }));

  test("replaces what it has a key for", () => {
    const tokenizer = make(blob(trieOf("B".charCodeAt(0)), "ab\0"));
    expect(textsOf(tokenizer, tokenizer.encode("BbB"))).toEqual(["▁", "a", "b", "b", "a", "b"]);
  });

  test.each([
    ["is too short", [1, 0]],
    ["has a trie beyond its end", blob(new Uint32Array(4), "").map((byte, at) => (at === 0 ? 255 : byte))],
    ["has a trie of no whole units", [5, 0, 0, 0, 1, 2, 3, 4, 5]],
  ])("that %s is refused", (_, charsmap) => expect(codeOf(() => make(charsmap))).toBe("tokens.charsmap"));

  test("with a replacement that does not end is refused", () => {
    expect(codeOf(() => make(blob(trieOf("B".charCodeAt(0)), "ab")).encode("B"))).toBe("tokens.charsmap");
  });
});

describe("refused vocabularies", () => {
  const small = { tokens: ["a", "b", "ab"], token_type: [1, 1, 1], merges: ["a b"] };
  const build = (extra: Record<string, MetadataValue>) => () =>
    createTokenizer(tokenizerMetadata({ model: "gpt2", pre: "gpt-2", ...small, ...extra }));

  test("the small one is fine", () => expect(codeOf(build({}))).toBe("no error"));

  test.each<[string, Record<string, MetadataValue>, string]>([
    ["an unknown model", { model: "rwkv" }, "tokens.model"],
    ["a model named like a property of objects", { model: "constructor" }, "tokens.model"],
    ["an unknown pre-tokenizer", { pre: "klingon" }, "tokens.pre"],
    ["no tokens", { tokens: [], token_type: [], merges: [] }, "tokens.empty"],
    ["a token twice", { tokens: ["a", "b", "ab", "a"], token_type: [1, 1, 1, 1] }, "tokens.duplicate"],
    ["too few types", { token_type: [1, 1] }, "tokens.length"],
    ["an unknown type", { token_type: [1, 1, 9] }, "tokens.type"],
    ["too many scores", { scores: [0, 0, 0, 0] }, "tokens.length"],
    ["a score that is no number", { scores: [0, Number.NaN, 0] }, "tokens.score"],
    ["a merge of an unknown token", { merges: ["a c"] }, "tokens.merge_unknown"],
    ["a merge that makes an unknown token", { merges: ["b a"] }, "tokens.merge_unknown"],
    ["a merge of one token", { merges: ["ab"] }, "tokens.merge"],
    ["a merge with nothing after the space", { merges: ["a "] }, "tokens.merge"],
    ["a bos id past the end", { bos_token_id: 3 }, "tokens.special_id"],
    ["an eos id below zero", { eos_token_id: -1 }, "tokens.special_id"],
    ["an eot id that is no whole number", { eot_token_id: 1.5 }, "tokens.special_id"],
    ["an unknown-token id past the end", { unknown_token_id: 4294967295 }, "tokens.special_id"],
    [
      "a very long control token",
      { tokens: ["a", "b", "ab", "x".repeat(600)], token_type: [1, 1, 1, 3] },
      "tokens.special_length",
    ],
    ["a byte token that names no byte", { model: "llama", token_type: [1, 1, 6] }, "tokens.byte"],
    ["unigrams without scores", { model: "t5" }, "tokens.length"],
    ["tokens that are no texts", { tokens: [1, 2, 3] }, "gguf.metadata_type"],
  ])("with %s", (_, extra, code) => expect(codeOf(build(extra))).toBe(code));

  test("missing tokens and model", () => {
    expect(codeOf(() => createTokenizer(tokenizerMetadata({ model: "gpt2" })))).toBe("gguf.metadata_missing");
    expect(codeOf(() => createTokenizer(tokenizerMetadata({ tokens: ["a"] })))).toBe("gguf.metadata_missing");
  });

  test("several empty texts are no duplicates", () => {
    expect(codeOf(build({ tokens: ["a", "b", "ab", "", ""], token_type: [1, 1, 1, 1, 1] }))).toBe("no error");
  });

  test("the message names what is supported", () => {
    expect(build({ pre: "klingon" })).toThrow(/"klingon".*llama-bpe.*qwen2/);
  });
});

describe("refused calls", () => {
  const tokenizer = createTokenizer(byteLevel([]));
  test.each([-1, 257, 1.5, Number.NaN, 2 ** 40])("id %d", (id) => {
    for (const call of [
      () => tokenizer.text(id),
      () => tokenizer.bytes(id),
      () => tokenizer.isControl(id),
      () => tokenizer.decode([id]),
      () => new StreamDecoder(tokenizer).push(id),
    ]) {
      expect(codeOf(call)).toBe("tokens.id");
    }
  });

  test("text that cannot be spelt", () => {
    const few = createTokenizer(tokenizerMetadata({ model: "gpt2", tokens: ["a"], merges: [] }));
    expect(codeOf(() => few.encode("b"))).toBe("tokens.no_token");
  });

  test("more text than fits", () => {
    expect(codeOf(() => tokenizer.encode("a".repeat(2 ** 23 + 1)))).toBe("tokens.text_length");
    expect(codeOf(() => tokenizer.encode("漢".repeat(2 ** 23)))).toBe("tokens.word_length");
    expect(codeOf(() => tokenizer.encode("a".repeat(2 ** 22 + 1)))).toBe("tokens.word_length");
    expect(tokenizer.encode("a".repeat(2 ** 20))).toHaveLength(2 ** 20);
    expect(tokenizer.encode("漢 ".repeat(2 ** 20))).toHaveLength(4 * 2 ** 20);
  });
});

describe("StreamDecoder", async () => {
  const vocabularies = {
    "byte pairs": await tokenizerOf(join(root, "models/clavis-stories-q8_0.gguf")),
    SentencePiece: createTokenizer(
      sentencePieces(
        "llama",
        new Map([
          ["▁", -1],
          ["a", -1],
          ["▁a", -1],
          ["😀", -1],
        ]),
      ),
    ),
    WordPiece: createTokenizer(wordPieces(["▁a", "b", "▁!"])),
  };

  test.each(Object.entries(vocabularies))("%s: the pieces together are what decode gives", (_, tokenizer) => {
    const ids = fc.array(fc.integer({ min: 0, max: tokenizer.vocabularySize - 1 }), { maxLength: 40 });
    const encoded = fc.string({ unit: "grapheme" }).map((text) => [...tokenizer.encode(text)]);
    fc.assert(
      fc.property(fc.oneof(ids, encoded), (ids) => {
        const decoder = new StreamDecoder(tokenizer);
        const pieces = [...ids.map((id) => decoder.push(id)), decoder.end()];
        expect(pieces.join("")).toBe(tokenizer.decode(ids));
        for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
      }),
    );
  });

  test("gives a character out with its last byte", () => {
    const tokenizer = createTokenizer(byteLevel([]));
    const decoder = new StreamDecoder(tokenizer);
    expect(Array.from(tokenizer.encode("é😀a"), (id) => decoder.push(id))).toEqual([
      "",
      "é",
      "",
      "",
      "",
      "😀",
      "a",
    ]);
    expect(decoder.end()).toBe("");
  });

  test("gives U+FFFD for a character that is not completed, at the end or before the next", () => {
    const tokenizer = createTokenizer(byteLevel([]));
    const [first] = tokenizer.encode("é");
    const decoder = new StreamDecoder(tokenizer);
    expect([decoder.push(first), decoder.push(tokenizer.encode("a")[0])]).toEqual(["", "\ufffda"]);
    expect([decoder.push(first), decoder.end()]).toEqual(["", "\ufffd"]);
  });

  test("keeps a byte-order mark", () => {
    const tokenizer = createTokenizer(byteLevel([]));
    const decoder = new StreamDecoder(tokenizer);
    expect(Array.from(tokenizer.encode("\ufeffa"), (id) => decoder.push(id)).join("")).toBe("\ufeffa");
  });

  test("leaves out SentencePiece's first space, unless the text goes on from before", () => {
    const { SentencePiece: tokenizer } = vocabularies;
    const ids = [...tokenizer.encode("a a")];
    const pieces = (decoder: StreamDecoder) => ids.map((id) => decoder.push(id));
    expect(pieces(new StreamDecoder(tokenizer))).toEqual(["a", " a"]);
    expect(pieces(new StreamDecoder(tokenizer, { continues: true }))).toEqual([" a", " a"]);
  });
});
