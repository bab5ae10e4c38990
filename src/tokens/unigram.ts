import type { Metadata } from "../bytes/metadata.ts";
import { ByteTokens } from "./byte-tokens.ts";
import { CharacterMap } from "./character-map.ts";
import * as errors from "./errors.ts";
import type { Family } from "./family.ts";
import type { IdList } from "./id-list.ts";
import { markSpaces, readSpaceRules, type SpaceRules, spaceMark } from "./spaces.ts";
import { Trie } from "./trie.ts";
import { TokenType, type Vocabulary } from "./vocabulary.ts";

/** Published pieces have at most 48 characters; the bound keeps hostile vocabularies from quadratic work. */
const longestPiece = 128;
/** How much less likely than the least likely piece an unknown character is. Source: SentencePiece, unigram model. */
const unknownPenalty = 10;

const encoder = new TextEncoder();

/**
 * The likeliest way to spell a text with pieces that each have a probability.
 * Source: Kudo 2018, arXiv:1804.10959, by the Viterbi algorithm.
 */
export class Unigram implements Family {
  readonly kind = "unigram";
  readonly addsSpacePrefix: boolean;
  readonly addsBos = false;
  readonly addsEos = true;
  private readonly vocabulary: Vocabulary;
  private readonly spaces: SpaceRules;
  private readonly characterMap?: CharacterMap;
  private readonly byteTokens: ByteTokens;
  private readonly trie: Trie;
  private readonly scores: Float32Array;
  private readonly unknownScore: number;

  constructor(vocabulary: Vocabulary, metadata: Metadata) {
    const { texts, types, scores } = vocabulary;
    this.vocabulary = vocabulary;
    this.spaces = readSpaceRules(metadata);
    this.addsSpacePrefix = this.spaces.addsPrefix;
    const map = metadata.optionalNumbers("tokenizer.ggml.precompiled_charsmap");
    if (map !== undefined && map.length > 0) this.characterMap = new CharacterMap(Uint8Array.from(map));
    this.byteTokens = new ByteTokens(vocabulary);
    if (scores === undefined) throw errors.listLength("token scores", 0, texts.length);
    this.scores = scores;
    this.trie = new Trie(texts.length * 4);
    let least = Number.POSITIVE_INFINITY;
    for (let id = 0; id < texts.length; id++) {
      const type = types[id];
      if (type !== TokenType.normal && type !== TokenType.userDefined && type !== TokenType.unused) continue;
      if (texts[id].length > longestPiece) throw errors.specialLength(id, texts[id].length, longestPiece);
      if (texts[id] !== "") this.trie.add(texts[id], id);
      if (type === TokenType.normal) least = Math.min(least, scores[id]);
    }
    this.unknownScore = (least === Number.POSITIVE_INFINITY ? 0 : least) - unknownPenalty;
  }

  encode(text: string, out: IdList): void {
    const marked = markSpaces(this.characterMap?.apply(text) ?? text, this.spaces);
    const { trie, scores } = this;
    const length = marked.length;
    /** [length + 1] the best sum of scores up to each position, the piece that ends there, and its start. */
    const best = new Float64Array(length + 1).fill(Number.NEGATIVE_INFINITY);
    const piece = new Int32Array(length + 1).fill(-1);
    const from = new Int32Array(length + 1);
    best[0] = 0;
    for (let start = 0; start < length; ) {
      const step = marked.codePointAt(start)! > 0xffff ? 2 : 1;
      let single = false;
      let node = 0;
      for (let end = start; end < length; ) {
        node = trie.next(node, marked.charCodeAt(end++));
        if (node < 0) break;
        const id = trie.idAt(node);
        if (id < 0) continue;
        const score = best[start] + scores[id];
        if (score > best[end]) {
          best[end] = score;
          piece[end] = id;
          from[end] = start;
        }
        single ||= end === start + step;
      }
      const unknown = best[start] + this.unknownScore;
      if (!single && unknown > best[start + step]) {
        best[start + step] = unknown;
        piece[start + step] = -1;
        from[start + step] = start;
      }
      start += step;
    }

    // The way back, turned round in place: from[start] becomes where the piece that starts there ends.
    for (let end = length, after = -1; end >= 0; ) {
      const start = end === 0 ? -1 : from[end];
      from[end] = after;
      after = end;
      end = start;
    }
    let unknown = false;
    for (let start = 0, end = from[0]; end > 0; start = end, end = from[end]) {
      if (piece[end] >= 0) {
        out.push(piece[end]);
        unknown = false;
      } else unknown = this.byteTokens.spell(marked.slice(start, end), unknown, out);
    }
  }

  bytes(id: number): Uint8Array {
    const byte = this.byteTokens.byte(id);
    if (byte !== undefined) return Uint8Array.of(byte);
    const text = this.vocabulary.texts[id];
    return encoder.encode(
      this.vocabulary.types[id] === TokenType.userDefined ? text : text.replaceAll(spaceMark, " "),
    );
  }
}
