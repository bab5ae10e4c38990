import type { Metadata } from "../bytes/metadata.ts";
import * as errors from "./errors.ts";
import { TextTable } from "./text-table.ts";

/** Token types of tokenizer.ggml.token_type. Source: GGUF specification, "Tokenizer". */
export const TokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The checked vocabulary of a model, as GGUF stores it. */
export interface Vocabulary {
  /** [V] the vocabulary's own text of each token. */
  readonly texts: readonly string[];
  /** [V] a TokenType for each token. */
  readonly types: Uint8Array;
  /** [V] natural-log scores, where the model has them. */
  readonly scores?: Float32Array;
  readonly idOf: TextTable;
  readonly bos?: number;
  readonly eos?: number;
  readonly unknown?: number;
  readonly separator?: number;
  /** Tokens after which a model has finished its answer. */
  readonly endTokens: ReadonlySet<number>;
}

/**
 * Texts of tokens that end an answer, for files that name only one of several (a chat model's
 * eos is often <|endoftext|> while its turns end with <|im_end|>).
 * They count only where the vocabulary marks them as control or user-defined: in a model of code,
 * an ordinary "</s>" may be markup.
 * Source: the special tokens in published tokenizer_config.json files.
 */
const endTexts = [
  "<|endoftext|>",
  "<|im_end|>",
  "<|end|>",
  "<|end_of_text|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|eot|>",
  "<|eom|>",
  "<|return|>",
  "<|call|>",
  "<|endofassistant|>",
  "<|end_of_turn|>",
  "<|END_OF_TURN_TOKEN|>",
  "<end_of_turn>",
  "<turn|>",
  "<end_of_utterance>",
  "<|EOT|>",
  "<EOT>",
  "</s>",
  "<｜end▁of▁sentence｜>",
  "<|end▁of▁sentence|>",
];

interface UsualIds {
  readonly bos?: number;
  readonly eos?: number;
  readonly unknown?: number;
  readonly separator?: number;
}

/**
 * Ids that files of a family may leave unsaid, by tokenizer.ggml.model.
 * Source: the first models of each, Llama, T5 and BERT; llama.cpp assumes the same.
 */
const usualIds: ReadonlyMap<string, UsualIds> = new Map([
  ["llama", { bos: 1, eos: 2, unknown: 0 }],
  ["t5", { eos: 1, unknown: 2 }],
  ["bert", { bos: 101, unknown: 100, separator: 102 }],
]);

/**
 * Reads tokenizer.ggml.* and checks it.
 *
 * @throws ClavisError `tokens.*` for a list of the wrong length, a token that is there twice, an id
 *   outside the vocabulary; `gguf.metadata_*` for a missing key or one of the wrong type
 */
export function readVocabulary(metadata: Metadata): Vocabulary {
  const texts = metadata.strings("tokenizer.ggml.tokens");
  const size = texts.length;
  if (size === 0) throw errors.emptyVocabulary();

  const types = readTypes(metadata, size);
  const scores = readScores(metadata, size);

  const idOf = new TextTable(texts);
  for (let id = 0; id < size; id++) {
    // Some files leave the texts of ids that no token has empty.
    if (texts[id] === "") continue;
    const first = idOf.get(texts[id]);
    if (first === undefined || types[first] === TokenType.unused) idOf.set(id);
    else if (types[id] !== TokenType.unused) throw errors.duplicateToken(texts[id], first, id);
  }

  const special = (name: string): number | undefined => {
    const key = `tokenizer.ggml.${name}_token_id`;
    const id = metadata.optionalNumber(key);
    if (id !== undefined && !(Number.isInteger(id) && id >= 0 && id < size))
      throw errors.specialId(key, id, size);
    return id;
  };
  const usual = usualIds.get(metadata.optionalString("tokenizer.ggml.model") ?? "");
  /** The id that a family usually has for a token, where the file names none and it is one of that kind. */
  const orUsual = (id: number | undefined, name: keyof UsualIds): number | undefined => {
    const other = usual?.[name];
    if (id !== undefined || other === undefined) return id;
    return types[other] === TokenType.control || types[other] === TokenType.unknown ? other : undefined;
  };
  // BERT's [CLS] opens a text as a beginning-of-sequence token does; its files name it so or so.
  const bos = orUsual(special("bos") ?? special("cls"), "bos");
  const eos = orUsual(special("eos"), "eos");
  const eot = special("eot");
  const eom = special("eom");
  const unknown = orUsual(special("unknown"), "unknown");
  // The first files with this key misspelt it, and readers have kept to that spelling.
  const separator = orUsual(special("seperator") ?? special("separator"), "separator");

  const endTokens = new Set<number>();
  for (const id of [eos, eot, eom]) if (id !== undefined) endTokens.add(id);
  // Files without types mark nothing as control: there at least the named tokens are.
  if (!metadata.has("tokenizer.ggml.token_type")) {
    for (const id of [bos, eos, eot, eom]) if (id !== undefined) types[id] = TokenType.control;
  }
  for (const text of endTexts) {
    const id = idOf.get(text);
    if (id !== undefined && (types[id] === TokenType.control || types[id] === TokenType.userDefined)) {
      endTokens.add(id);
    }
  }
  return { texts, types, scores, idOf, bos, eos, unknown, separator, endTokens };
}

function readTypes(metadata: Metadata, size: number): Uint8Array {
  const given = metadata.optionalNumbers("tokenizer.ggml.token_type");
  if (given === undefined) return new Uint8Array(size).fill(TokenType.normal);
  if (given.length !== size) throw errors.listLength("token types", given.length, size);
  const types = new Uint8Array(size);
  for (let id = 0; id < size; id++) {
    const type = given[id];
    if (!(Number.isInteger(type) && type >= TokenType.normal && type <= TokenType.byte)) {
      throw errors.tokenType(id, type);
    }
    types[id] = type;
  }
  return types;
}

function readScores(metadata: Metadata, size: number): Float32Array | undefined {
  const given = metadata.optionalNumbers("tokenizer.ggml.scores");
  if (given === undefined) return undefined;
  if (given.length !== size) throw errors.listLength("token scores", given.length, size);
  const scores = Float32Array.from(given);
  for (let id = 0; id < size; id++)
    if (!Number.isFinite(scores[id])) throw errors.scoreNotFinite(id, scores[id]);
  return scores;
}
