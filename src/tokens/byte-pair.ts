import type { Metadata } from "../bytes/metadata.ts";
import { bytesOfText, characterOfByte } from "./byte-alphabet.ts";
import * as errors from "./errors.ts";
import type { Family } from "./family.ts";
import type { IdList } from "./id-list.ts";
import { Merger } from "./merger.ts";
import { ListedOrder } from "./merges.ts";
import { normalized } from "./normalize.ts";
import { type PreTokenizer, preTokenizer } from "./pre-tokenizers.ts";
import { TokenType, type Vocabulary } from "./vocabulary.ts";
import { WordCache } from "./word-cache.ts";

/**
 * Byte-level byte-pair encoding: text is split into words by the model's pre-tokenizer, and the
 * bytes of each word are joined in the order of the merges.
 * Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
 */
export class BytePair implements Family {
  readonly kind = "bpe";
  readonly addsSpacePrefix = false;
  readonly addsBos: boolean;
  readonly addsEos = false;
  private readonly vocabulary: Vocabulary;
  private readonly pre: PreTokenizer;
  private readonly merger: Merger;
  /** [256] the token of each byte, or -1. */
  private readonly idOfByte = new Int32Array(256);
  private readonly cache = new WordCache();
  /** The length of the longest token. */
  private readonly longest: number;
  private scratch = new Uint8Array(256);
  private readonly encoder = new TextEncoder();

  constructor(vocabulary: Vocabulary, metadata: Metadata) {
    this.vocabulary = vocabulary;
    // Files from before tokenizer.ggml.pre existed (May 2024) split as GPT-2 does, which most of
    // those models were trained with; "default" is how some of them were later marked.
    this.pre = preTokenizer(metadata.optionalString("tokenizer.ggml.pre") ?? "default");
    this.addsBos = this.pre.addsBos;
    this.merger = new Merger(
      new ListedOrder(vocabulary, metadata.optionalStrings("tokenizer.ggml.merges") ?? []),
    );
    this.longest = vocabulary.texts.reduce((most, text) => Math.max(most, text.length), 0);
    for (let byte = 0; byte < 256; byte++) {
      this.idOfByte[byte] = vocabulary.idOf.get(characterOfByte[byte]) ?? -1;
    }
  }

  encode(text: string, out: IdList): void {
    this.pre.split(this.pre.composes ? normalized(text, "NFC") : text, (word) => {
      if (!this.cache.append(word, out)) this.encodeWord(word, out);
    });
  }

  bytes(id: number): Uint8Array {
    const text = this.vocabulary.texts[id];
    // Added tokens stand for their text as it is.
    return this.vocabulary.types[id] === TokenType.userDefined
      ? this.encoder.encode(text)
      : bytesOfText(text);
  }

  private encodeWord(word: string, out: IdList): void {
    const ids = (this.pre.wholeWords ? this.wholeWord(word) : undefined) ?? this.joinedBytes(word);
    this.cache.remember(word, ids);
    out.pushAll(ids);
  }

  private wholeWord(word: string): Int32Array | undefined {
    // Longer than any token in characters, so in bytes too.
    if (word.length > this.longest) return undefined;
    let spelled = "";
    for (const byte of this.encoder.encode(word)) spelled += characterOfByte[byte];
    const id = this.vocabulary.idOf.get(spelled);
    return id === undefined ? undefined : Int32Array.of(id);
  }

  private joinedBytes(word: string): Int32Array {
    if (this.scratch.length < word.length * 3) this.scratch = new Uint8Array(word.length * 3);
    const { scratch, merger } = this;
    const length = this.encoder.encodeInto(word, scratch).written;
    merger.reserve(length);
    for (let i = 0; i < length; i++) {
      const id = this.idOfByte[scratch[i]];
      merger.ids[i] = id >= 0 ? id : this.unknownByte(scratch[i]);
    }
    return merger.ids.slice(0, merger.merge(length));
  }

  private unknownByte(byte: number): number {
    const { unknown } = this.vocabulary;
    if (unknown === undefined) throw errors.noTokenFor(`the byte 0x${byte.toString(16).padStart(2, "0")}`);
    return unknown;
  }
}
