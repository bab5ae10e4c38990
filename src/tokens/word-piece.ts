import type { Metadata } from "../bytes/metadata.ts";
import * as errors from "./errors.ts";
import type { Family } from "./family.ts";
import { IdList } from "./id-list.ts";
import { normalized } from "./normalize.ts";
import { spaceMark } from "./spaces.ts";
import { Trie } from "./trie.ts";
import { TokenType, type Vocabulary } from "./vocabulary.ts";
import { WordCache } from "./word-cache.ts";

/** Longer words become the unknown token. Source: BERT's max_input_chars_per_word. */
const longestWord = 100;

const encoder = new TextEncoder();

/** What BERT deletes: NUL, U+FFFD, and control and format characters other than tab and line breaks. */
const deleted = /(?![\t\n\r])[\0\ufffd\p{Cc}\p{Cf}\p{Co}]+/gu;
const spaces = /\p{White_Space}+/u;
/** Characters that are words by themselves: punctuation, ASCII symbols, and ideographs (the last as BERT lists them). */
const alone =
  /[\p{P}$+<=>^`|~\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

/**
 * BERT's WordPiece: each word is spelt by the longest piece that fits, again and again.
 *
 * In GGUF, pieces that start a word have "▁" before them and those that go on have none (the
 * published vocabularies have "##" before the latter instead).
 * Source: Devlin et al. 2018, arXiv:1810.04805, and its published tokenizer.
 */
export class WordPiece implements Family {
  readonly kind = "wordpiece";
  readonly addsSpacePrefix = true;
  readonly addsBos = true;
  readonly addsEos = false;
  private readonly vocabulary: Vocabulary;
  private readonly trie: Trie;
  private readonly lowercases: boolean;
  private readonly stripsAccents: boolean;
  private readonly cache = new WordCache();
  private readonly word = new IdList();

  constructor(vocabulary: Vocabulary, metadata: Metadata) {
    const { texts, types } = vocabulary;
    this.vocabulary = vocabulary;
    this.lowercases = metadata.optionalBoolean("tokenizer.ggml.normalizer.lowercase") ?? true;
    this.stripsAccents =
      metadata.optionalBoolean("tokenizer.ggml.normalizer.strip_accents") ?? this.lowercases;
    this.trie = new Trie(texts.length * 3);
    for (let id = 0; id < texts.length; id++) {
      if (types[id] === TokenType.normal && texts[id] !== "") this.trie.add(texts[id], id);
    }
  }

  encode(text: string, out: IdList): void {
    for (const word of this.words(text)) {
      if (word === "" || this.cache.append(word, out)) continue;
      const ids = this.pieces(spaceMark + word);
      this.cache.remember(word, ids);
      out.pushAll(ids);
    }
  }

  bytes(id: number): Uint8Array {
    const text = this.vocabulary.texts[id];
    return encoder.encode(text.startsWith(spaceMark) ? ` ${text.slice(1)}` : text);
  }

  private words(text: string): string[] {
    let clean = text.replace(deleted, "");
    if (this.stripsAccents) clean = normalized(clean, "NFD").replace(/\p{Mn}+/gu, "");
    // One by one, since in a whole word the last Σ would become ς.
    if (this.lowercases) clean = clean.replace(/[^\0-@[-\x7f]/gu, (character) => character.toLowerCase());
    return clean.replace(alone, " $& ").split(spaces);
  }

  private pieces(word: string): Int32Array {
    const { trie, word: ids } = this;
    ids.length = 0;
    // The mark before the word does not count.
    let fits = characters(word) <= longestWord + 1;
    for (let start = 0; fits && start < word.length; ) {
      let longest = -1;
      let end = start;
      let node = 0;
      for (let at = start; at < word.length; ) {
        node = trie.next(node, word.charCodeAt(at++));
        if (node < 0) break;
        if (trie.idAt(node) >= 0) {
          longest = trie.idAt(node);
          end = at;
        }
      }
      fits = longest >= 0;
      ids.push(longest);
      start = end;
    }
    return fits ? ids.copy() : Int32Array.of(this.unknown());
  }

  private unknown(): number {
    const { unknown } = this.vocabulary;
    if (unknown === undefined) throw errors.noTokenFor("a word that no pieces spell");
    return unknown;
  }
}

function characters(text: string): number {
  if (text.length <= longestWord) return text.length;
  let count = 0;
  for (const _ of text) count++;
  return count;
}
