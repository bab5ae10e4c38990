import { Metadata, type MetadataValue } from "../../src/bytes/metadata.ts";
import { TokenType } from "../../src/tokens/vocabulary.ts";

type Extra = Readonly<Record<string, MetadataValue>>;

const prefixed = (values: Extra): Extra =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [`tokenizer.ggml.${key}`, value]));

/** Metadata of a tokenizer from keys without their prefix. */
export const tokenizerMetadata = (values: Extra): Metadata => new Metadata(prefixed(values));

/** The byte-level alphabet, written out from its definition: printable Latin-1 as itself, the rest from U+0100. */
export const byteAlphabet: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const printable = (b: number) => (b > 0x20 && b < 0x7f) || (b > 0xa0 && b < 0x100 && b !== 0xad);
  if (printable(byte)) return String.fromCharCode(byte);
  let before = 0;
  for (let b = 0; b < byte; b++) if (!printable(b)) before++;
  return String.fromCharCode(0x100 + before);
});

/** A byte-level vocabulary: the 256 bytes, what the merges make, and one control token at the end. */
export function byteLevel(merges: readonly string[], extra: Extra = {}): Metadata {
  const made = new Set(merges.map((merge) => merge.replace(" ", "")));
  const tokens = [...byteAlphabet, ...made, "<|end|>"];
  return tokenizerMetadata({
    model: "gpt2",
    pre: "gpt-2",
    tokens,
    token_type: tokens.map((_, id) => (id === tokens.length - 1 ? TokenType.control : TokenType.normal)),
    merges: [...merges],
    eos_token_id: tokens.length - 1,
    ...extra,
  });
}

/** <unk>, <s>, </s>, the byte tokens, and pieces with scores. */
export function sentencePieces(
  model: "llama" | "t5",
  pieces: ReadonlyMap<string, number>,
  extra: Extra = {},
  { bytes = true } = {},
): Metadata {
  const hex = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
  const byteTokens = bytes ? Array.from({ length: 256 }, (_, byte) => hex(byte)) : [];
  const { control, byte, normal, unknown } = TokenType;
  return tokenizerMetadata({
    model,
    tokens: ["<unk>", "<s>", "</s>", ...byteTokens, ...pieces.keys()],
    token_type: [
      unknown,
      control,
      control,
      ...byteTokens.map(() => byte),
      ...Array.from(pieces, () => normal),
    ],
    scores: [0, 0, 0, ...byteTokens.map(() => 0), ...pieces.values()],
    bos_token_id: 1,
    eos_token_id: 2,
    unknown_token_id: 0,
    ...extra,
  });
}

/** [UNK], [CLS], [SEP] and pieces as GGUF writes them: "▁" before those that start a word. */
export function wordPieces(pieces: readonly string[], extra: Extra = {}): Metadata {
  const { control, normal } = TokenType;
  return tokenizerMetadata({
    model: "bert",
    tokens: ["[UNK]", "[CLS]", "[SEP]", ...pieces],
    token_type: [control, control, control, ...pieces.map(() => normal)],
    cls_token_id: 1,
    seperator_token_id: 2,
    unknown_token_id: 0,
    ...extra,
  });
}
