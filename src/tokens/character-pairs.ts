import type { Metadata } from "../bytes/metadata.ts";
import { ByteTokens } from "./byte-tokens.ts";
import type { Family } from "./family.ts";
import { IdList } from "./id-list.ts";
import { type MergeOrder, Merger } from "./merger.ts";
import { ListedOrder } from "./merges.ts";
import { PairTable } from "./pair-table.ts";
import { markSpaces, readSpaceRules, type SpaceRules, spaceMark } from "./spaces.ts";
import { TokenType, type Vocabulary } from "./vocabulary.ts";
import { WordCache } from "./word-cache.ts";

const encoder = new TextEncoder();
const spaceCode = spaceMark.charCodeAt(0);

/**
 * Pair encoding over characters, with "▁" for spaces and bytes for characters that the vocabulary
 * does not have. SentencePiece BPE joins the pair whose union has the best score; Gemma 4's
 * vocabulary is written the same way but lists its merges.
 *
 * Text is cut into words before a "▁" where no token reaches across, which changes no result: a
 * join across the cut would make such a token.
 * Source: Kudo and Richardson 2018, arXiv:1808.06226; the published SentencePiece model format.
 */
export class CharacterPairs implements Family {
  readonly kind: "spm" | "bpe";
  readonly addsSpacePrefix: boolean;
  readonly addsBos = true;
  readonly addsEos = false;
  private readonly vocabulary: Vocabulary;
  private readonly spaces: SpaceRules;
  private readonly symbols: Symbols;
  private readonly merger: Merger;
  private readonly byteTokens: ByteTokens;
  private readonly cache = new WordCache();
  /** [65536] whether some token has this unit right before a "▁". */
  private readonly reachesSpace = new Uint8Array(65536);
  private readonly word = new IdList();

  constructor(kind: "spm" | "bpe", vocabulary: Vocabulary, metadata: Metadata) {
    this.kind = kind;
    this.vocabulary = vocabulary;
    this.spaces = kind === "spm" ? readSpaceRules(metadata) : { addsPrefix: false, removesExtra: false };
    this.addsSpacePrefix = this.spaces.addsPrefix;
    this.symbols = new Symbols(vocabulary);
    this.merger = new Merger(
      kind === "spm"
        ? new ScoreOrder(vocabulary, this.symbols)
        : // Converters write "▁" in user-defined tokens as spaces, but leave it in the merges that name them;
          // such tokens are found in the text before any pairs are joined.
          new ListedOrder(vocabulary, metadata.strings("tokenizer.ggml.merges"), { skipsUnknown: true }),
    );
    this.byteTokens = new ByteTokens(vocabulary);
    for (const text of vocabulary.texts) {
      for (let at = text.indexOf(spaceMark, 1); at >= 0; at = text.indexOf(spaceMark, at + 1)) {
        this.reachesSpace[text.charCodeAt(at - 1)] = 1;
      }
    }
  }

  encode(text: string, out: IdList): void {
    const marked = markSpaces(text, this.spaces);
    for (let start = 0; start < marked.length; ) {
      let end = marked.indexOf(spaceMark, start + 1);
      while (end >= 0 && this.joins(marked.charCodeAt(end - 1))) end = marked.indexOf(spaceMark, end + 1);
      if (end < 0) end = marked.length;
      const word = marked.slice(start, end);
      if (!this.cache.append(word, out)) this.encodeWord(word, out);
      start = end;
    }
  }

  bytes(id: number): Uint8Array {
    const byte = this.byteTokens.byte(id);
    if (byte !== undefined) return Uint8Array.of(byte);
    const text = this.vocabulary.texts[id];
    // A user-defined token stands for its text as it is, a "▁" in it included.
    return encoder.encode(
      this.vocabulary.types[id] === TokenType.userDefined ? text : text.replaceAll(spaceMark, " "),
    );
  }

  /** Whether a "▁" after this unit may be joined to it. */
  private joins(unit: number): boolean {
    return unit === spaceCode || this.reachesSpace[unit] === 1;
  }

  private encodeWord(word: string, out: IdList): void {
    const { merger, symbols, vocabulary } = this;
    merger.reserve(word.length);
    let count = 0;
    for (const character of word) merger.ids[count++] = symbols.idOfCharacter(character);
    count = merger.merge(count);

    this.word.length = 0;
    let unknown = false;
    for (let i = 0; i < count; i++) {
      const id = merger.ids[i];
      if (id < vocabulary.texts.length) {
        this.word.push(id);
        unknown = false;
      } else unknown = this.byteTokens.spell(symbols.textOf(id), unknown, this.word);
    }
    const ids = this.word.copy();
    this.cache.remember(word, ids);
    out.pushAll(ids);
  }
}

/** What is joined: tokens, and characters that are no token, which get ids from the vocabulary's size up. */
class Symbols {
  private readonly vocabulary: Vocabulary;
  private readonly size: number;

  constructor(vocabulary: Vocabulary) {
    this.vocabulary = vocabulary;
    this.size = vocabulary.texts.length;
  }

  idOfCharacter(character: string): number {
    return this.tokenOf(character) ?? this.size + character.codePointAt(0)!;
  }

  textOf(id: number): string {
    return id < this.size ? this.vocabulary.texts[id] : String.fromCodePoint(id - this.size);
  }

  /** The token with a text, if it may come of joining: control and byte tokens may not. */
  tokenOf(text: string): number | undefined {
    const id = this.vocabulary.idOf.get(text);
    if (id === undefined) return undefined;
    const type = this.vocabulary.types[id];
    return type === TokenType.normal || type === TokenType.userDefined || type === TokenType.unused
      ? id
      : undefined;
  }
}

/** Pairs looked up are remembered; past so many the table starts again. */
const mostPairs = 1 << 20;

/** Joins the pair whose union has the highest score. */
class ScoreOrder implements MergeOrder {
  private readonly symbols: Symbols;
  /** [V] the place of each token among the distinct scores, best first. */
  private readonly places: Int32Array;
  /** The token that each pair makes, or -1. */
  private pairs = new PairTable(1 << 12);
  private readonly longest: number;

  constructor({ texts, scores }: Vocabulary, symbols: Symbols) {
    this.symbols = symbols;
    this.places = scores === undefined ? new Int32Array(texts.length) : placesOf(scores);
    this.longest = texts.reduce((most, text) => Math.max(most, text.length), 0);
  }

  rank(left: number, right: number): number {
    const id = this.join(left, right);
    return id < 0 ? -1 : this.places[id];
  }

  join(left: number, right: number): number {
    const known = this.pairs.get(left, right, -2);
    if (known !== -2) return known;
    const leftText = this.symbols.textOf(left);
    const rightText = this.symbols.textOf(right);
    const fits = leftText.length + rightText.length <= this.longest;
    const id = (fits ? this.symbols.tokenOf(leftText + rightText) : undefined) ?? -1;
    if (this.pairs.size >= mostPairs) this.pairs = new PairTable(1 << 12);
    this.pairs.add(left, right, id);
    return id;
  }
}

/**
 * The place of each score among the distinct ones, best first.
 *
 * Scores and their ids are sorted together as 64-bit numbers, which takes a tenth of the time of a Map of scores.
 *
 * @param scores  [V] finite
 * @returns [V] from 0
 */
function placesOf(scores: Float32Array): Int32Array {
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  /** Per score two words: its id, and above that a key that falls as the score rises. */
  const words = new Uint32Array(2 * scores.length);
  for (let id = 0; id < scores.length; id++) {
    // Adding zero makes one of the two zeros. Bits of positive floats rise with them, of negative ones fall.
    value[0] = scores[id] + 0;
    words[2 * id] = id;
    words[2 * id + 1] = bits[0] >>> 31 === 1 ? bits[0] : ~bits[0] & 0x7fffffff;
  }
  new BigUint64Array(words.buffer).sort();
  const places = new Int32Array(scores.length);
  let place = 0;
  for (let i = 0; i < scores.length; i++) {
    if (i > 0 && words[2 * i + 1] !== words[2 * i - 1]) place++;
    places[words[2 * i]] = place;
  }
  return places;
}
