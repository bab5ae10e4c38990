import type { Metadata } from "../bytes/metadata.ts";
import { BytePair } from "./byte-pair.ts";
import { CharacterPairs } from "./character-pairs.ts";
import * as errors from "./errors.ts";
import type { Family } from "./family.ts";
import { IdList } from "./id-list.ts";
import { SpecialTokens } from "./special-tokens.ts";
import { Unigram } from "./unigram.ts";
import { readVocabulary, TokenType, type Vocabulary } from "./vocabulary.ts";
import { WordPiece } from "./word-piece.ts";

export interface EncodeOptions {
  /** Recognise control tokens such as `<|im_end|>` written in the text. Default false. */
  readonly special?: boolean;
  /** Add bos and eos as the model wants them. Default false. */
  readonly addSpecial?: boolean;
}

export interface DecodeOptions {
  /** Show control tokens as their text. Default false: they are left out. */
  readonly special?: boolean;
}

/** Text ↔ token ids, as a model's own vocabulary has it. */
export interface Tokenizer {
  readonly kind: "bpe" | "spm" | "unigram" | "wordpiece";
  readonly vocabularySize: number;
  readonly bos?: number;
  readonly eos?: number;
  /** Whether the model's texts begin with bos. */
  readonly addsBos: boolean;
  /** Every token that ends an answer: eos, end of turn, end of message. */
  readonly endTokens: ReadonlySet<number>;
  /** Whether encoding puts a space before the text, which decoding takes away again. */
  readonly addsSpacePrefix: boolean;

  /**
   * The ids of a text. Lone surrogates become U+FFFD. Takes time linear in the text's length (times
   * a logarithm), whatever the text.
   *
   * @throws ClavisError `tokens.no_token` where the vocabulary cannot spell the text,
   *   `tokens.text_length` for more than 8 Mi UTF-16 units at once, `tokens.word_length`
   *   for some millions of letters without a break
   */
  encode(text: string, options?: EncodeOptions): Int32Array;

  /**
   * The text of ids; bytes that are not UTF-8 become U+FFFD.
   *
   * @throws ClavisError `tokens.id` for an id outside the vocabulary
   */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;

  /**
   * The raw bytes that a token stands for; empty for control tokens. Do not write to it.
   *
   * @throws ClavisError `tokens.id` for an id outside the vocabulary
   */
  bytes(id: number): Uint8Array;

  /**
   * The vocabulary's own text of a token, e.g. "Ġthe".
   *
   * @throws ClavisError `tokens.id` for an id outside the vocabulary
   */
  text(id: number): string;

  /**
   * Whether a token steers the model and is no part of its text.
   *
   * @throws ClavisError `tokens.id` for an id outside the vocabulary
   */
  isControl(id: number): boolean;
}

const families: Record<string, (vocabulary: Vocabulary, metadata: Metadata) => Family> = {
  gpt2: (vocabulary, metadata) => new BytePair(vocabulary, metadata),
  llama: (vocabulary, metadata) => new CharacterPairs("spm", vocabulary, metadata),
  gemma4: (vocabulary, metadata) => new CharacterPairs("bpe", vocabulary, metadata),
  t5: (vocabulary, metadata) => new Unigram(vocabulary, metadata),
  bert: (vocabulary, metadata) => new WordPiece(vocabulary, metadata),
};

/**
 * The tokenizer that a model file describes under tokenizer.ggml.*.
 *
 * @throws ClavisError `tokens.model` or `tokens.pre` for a tokenizer that is not supported, other
 *   `tokens.*` for a vocabulary that contradicts itself, `gguf.metadata_*` for missing keys
 */
export function createTokenizer(metadata: Metadata): Tokenizer {
  const model = metadata.string("tokenizer.ggml.model");
  if (!Object.hasOwn(families, model)) throw errors.unknownModel(model, Object.keys(families));
  const vocabulary = readVocabulary(metadata);
  return new VocabularyTokenizer(vocabulary, families[model](vocabulary, metadata), metadata);
}

const nothing = new Uint8Array(0);

/** The longest text to encode at once, in UTF-16 units: unigrams need 16 bytes of memory for each. */
const longestText = 2 ** 23;

class VocabularyTokenizer implements Tokenizer {
  readonly kind: Tokenizer["kind"];
  readonly vocabularySize: number;
  readonly bos?: number;
  readonly eos?: number;
  readonly addsBos: boolean;
  readonly endTokens: ReadonlySet<number>;
  readonly addsSpacePrefix: boolean;
  private readonly vocabulary: Vocabulary;
  private readonly family: Family;
  private readonly specialTokens: SpecialTokens;
  /** Tokens that swallow the white space after them. */
  private readonly swallowing: ReadonlySet<number>;
  private readonly addsEos: boolean;
  private readonly addsSeparator: boolean;
  /** Bytes of the tokens asked for so far. */
  private readonly known: (Uint8Array | undefined)[] = [];

  constructor(vocabulary: Vocabulary, family: Family, metadata: Metadata) {
    this.kind = family.kind;
    this.vocabularySize = vocabulary.texts.length;
    this.bos = vocabulary.bos;
    this.eos = vocabulary.eos;
    this.endTokens = vocabulary.endTokens;
    this.addsSpacePrefix = family.addsSpacePrefix;
    this.vocabulary = vocabulary;
    this.family = family;
    this.specialTokens = new SpecialTokens(vocabulary);
    this.swallowing = swallowingTokens(vocabulary, family, metadata);
    const wantsBos = metadata.optionalBoolean("tokenizer.ggml.add_bos_token") ?? family.addsBos;
    this.addsBos = wantsBos && this.bos !== undefined;
    this.addsEos = metadata.optionalBoolean("tokenizer.ggml.add_eos_token") ?? family.addsEos;
    this.addsSeparator =
      metadata.optionalBoolean("tokenizer.ggml.add_sep_token") ?? family.kind === "wordpiece";
  }

  encode(text: string, { special = false, addSpecial = false }: EncodeOptions = {}): Int32Array {
    if (text.length > longestText) throw errors.textLength(text.length, longestText);
    const whole = text.replace(/\p{Surrogate}/gu, "\ufffd");
    const ids = new IdList();
    if (addSpecial && this.addsBos) ids.push(this.bos!);
    let swallows = false;
    this.specialTokens.split(
      whole,
      special,
      (start, end) => {
        const plain = whole.slice(start, end);
        const kept = swallows ? plain.trimStart() : plain;
        if (kept !== "") this.family.encode(kept, ids);
      },
      (id) => {
        ids.push(id);
        swallows = this.swallowing.has(id);
      },
    );
    if (addSpecial && this.addsSeparator && this.vocabulary.separator !== undefined) {
      ids.push(this.vocabulary.separator);
    } else if (addSpecial && this.addsEos && this.eos !== undefined) ids.push(this.eos);
    return ids.copy();
  }

  decode(ids: Iterable<number>, { special = false }: DecodeOptions = {}): string {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let text = "";
    for (const id of ids) {
      if (special && this.isControl(id)) text += decoder.decode() + this.vocabulary.texts[id];
      else text += decoder.decode(this.bytes(id), { stream: true });
    }
    text += decoder.decode();
    return this.addsSpacePrefix && text.startsWith(" ") ? text.slice(1) : text;
  }

  bytes(id: number): Uint8Array {
    if (this.isControl(id)) return nothing;
    return (this.known[id] ??= this.family.bytes(id));
  }

  text(id: number): string {
    this.check(id);
    return this.vocabulary.texts[id];
  }

  isControl(id: number): boolean {
    this.check(id);
    const type = this.vocabulary.types[id];
    return type === TokenType.control || type === TokenType.unknown;
  }

  private check(id: number): void {
    if (!(Number.isInteger(id) && id >= 0 && id < this.vocabularySize)) {
      throw errors.idOutOfRange(id, this.vocabularySize);
    }
  }
}

/**
 * Phi-3's tokenizer.json marks its chat tokens "rstrip", so that the line break after <|user|> is no
 * token; GGUF has no place to say so, and the architecture has to.
 */
function swallowingTokens({ texts, types }: Vocabulary, family: Family, metadata: Metadata): Set<number> {
  const ids = new Set<number>();
  if (family.kind !== "spm" || metadata.optionalString("general.architecture") !== "phi3") return ids;
  const plain = new Set(["<unk>", "<s>", "<|endoftext|>"]);
  for (let id = 0; id < texts.length; id++) {
    const isSpecial = types[id] === TokenType.control || types[id] === TokenType.userDefined;
    if (isSpecial && !plain.has(texts[id])) ids.add(id);
  }
  return ids;
}
