import type { Metadata } from "../bytes/metadata.ts";
import { bytesOfText, characterOfByte } from "./byte-alphabet.ts";
import * as errors from "./errors.ts";
import type { Family } from "./family.ts";
import type { IdList } from "./id-list.ts";
import { Merger } from "./merger.ts";
import { PairTable } from "./pair-table.ts";
import { type PreTokenizer, preTokenizer } from "./pre-tokenizers.ts";
import { TokenType, type Vocabulary } from "./vocabulary.ts";

/** Words remembered with their ids. English text of any length has fewer that matter. */
const cachedWords = 1 << 16;
/** Longer words are not remembered: they seldom come again, and a hostile text would fill the memory. */
const cachedLength = 48;

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
  private readonly merger: RankedMerger;
  /** [256] the token of each byte, or -1. */
  private readonly idOfByte = new Int32Array(256);
  private readonly cache = new Map<string, number | Int32Array>();
  private scratch = new Uint8Array(256);
  private readonly encoder = new TextEncoder();

  constructor(vocabulary: Vocabulary, metadata: Metadata) {
    this.vocabulary = vocabulary;
    // Files from before tokenizer.ggml.pre existed (May 2024) split as GPT-2 does, which most of
    // those models were trained with; "default" is how some of them were later marked.
    this.pre = preTokenizer(metadata.optionalString("tokenizer.ggml.pre") ?? "default");
    this.addsBos = this.pre.addsBos;
    this.merger = new RankedMerger(vocabulary, metadata.optionalStrings("tokenizer.ggml.merges") ?? []);
    for (let byte = 0; byte < 256; byte++) {
      this.idOfByte[byte] = vocabulary.idOf.get(characterOfByte[byte]) ?? -1;
    }
  }

  encode(text: string, _first: boolean, out: IdList): void {
    this.pre.split(text, (word) => {
      const known = this.cache.get(word);
      if (typeof known === "number") out.push(known);
      else if (known !== undefined) out.pushAll(known);
      else this.encodeWord(word, out);
    });
  }

  bytes(id: number): Uint8Array {
    const text = this.vocabulary.texts[id];
    return this.vocabulary.types[id] === TokenType.normal ? bytesOfText(text) : this.encoder.encode(text);
  }

  private encodeWord(word: string, out: IdList): void {
    if (this.scratch.length < word.length * 3) this.scratch = new Uint8Array(word.length * 3);
    const { scratch, merger } = this;
    const length = this.encoder.encodeInto(word, scratch).written;

    if (this.pre.wholeWords) {
      let spelled = "";
      for (let i = 0; i < length && i < cachedLength * 3; i++) spelled += characterOfByte[scratch[i]];
      const whole = length <= cachedLength * 3 ? this.vocabulary.idOf.get(spelled) : undefined;
      if (whole !== undefined) {
        this.remember(word, whole);
        out.push(whole);
        return;
      }
    }

    merger.reserve(length);
    for (let i = 0; i < length; i++) {
      const id = this.idOfByte[scratch[i]];
      merger.ids[i] = id >= 0 ? id : this.unknownByte(scratch[i]);
    }
    const count = merger.merge(length);
    if (count === 1) {
      this.remember(word, merger.ids[0]);
      out.push(merger.ids[0]);
    } else {
      const ids = merger.ids.slice(0, count);
      this.remember(word, ids);
      out.pushAll(ids);
    }
  }

  private remember(word: string, ids: number | Int32Array): void {
    if (word.length > cachedLength) return;
    if (this.cache.size >= cachedWords) this.cache.clear();
    this.cache.set(word, ids);
  }

  private unknownByte(byte: number): number {
    const { unknown } = this.vocabulary;
    if (unknown === undefined) throw errors.noTokenFor(`the byte 0x${byte.toString(16).padStart(2, "0")}`);
    return unknown;
  }
}

/** Joins pairs in the order in which the vocabulary lists its merges. */
class RankedMerger extends Merger {
  private readonly ranks: PairTable;
  private readonly joined: Int32Array;

  constructor({ idOf }: Vocabulary, merges: readonly string[]) {
    super();
    this.ranks = new PairTable(merges.length);
    this.joined = new Int32Array(merges.length);
    for (let rank = 0; rank < merges.length; rank++) {
      const merge = merges[rank];
      // From index 1: the left token may itself begin with a space.
      const space = merge.indexOf(" ", 1);
      if (space < 0 || space === merge.length - 1) throw errors.mergeForm(rank, merge);
      const left = merge.slice(0, space);
      const right = merge.slice(space + 1);
      const leftId = idOf.get(left);
      const rightId = idOf.get(right);
      const joinedId = idOf.get(left + right);
      if (leftId === undefined) throw errors.mergeUnknown(rank, merge, left);
      if (rightId === undefined) throw errors.mergeUnknown(rank, merge, right);
      if (joinedId === undefined) throw errors.mergeUnknown(rank, merge, left + right);
      this.ranks.add(leftId, rightId, rank);
      this.joined[rank] = joinedId;
    }
  }

  protected override rank(left: number, right: number): number {
    return this.ranks.get(left, right, -1);
  }

  protected override join(_left: number, _right: number, rank: number): number {
    return this.joined[rank];
  }
}
