import * as errors from "./errors.ts";
import { Trie } from "./trie.ts";
import { TokenType, type Vocabulary } from "./vocabulary.ts";

/** Bounds the work at each position of a text; published special tokens have fewer than 64. */
const longest = 256;

/** Finds the tokens that are matched as text: control tokens where asked for, user-defined always. */
export class SpecialTokens {
  private readonly vocabulary: Vocabulary;
  private readonly trie = new Trie(1024);
  /** [65536] whether some token starts with a UTF-16 unit: most positions need no more than this. */
  private readonly starts = new Uint8Array(65536);
  /** The same for user-defined tokens alone. */
  private readonly startsUserDefined = new Uint8Array(65536);

  constructor(vocabulary: Vocabulary) {
    this.vocabulary = vocabulary;
    const { texts, types } = vocabulary;
    for (let id = 0; id < texts.length; id++) {
      const type = types[id];
      if (type !== TokenType.control && type !== TokenType.unknown && type !== TokenType.userDefined)
        continue;
      const text = texts[id];
      if (text.length === 0) continue;
      if (text.length > longest) throw errors.specialLength(id, text.length, longest);
      this.starts[text.charCodeAt(0)] = 1;
      if (type === TokenType.userDefined) this.startsUserDefined[text.charCodeAt(0)] = 1;
      this.trie.add(text, id);
    }
  }

  /**
   * Splits a text at its special tokens, the leftmost first and the longest of those.
   *
   * @param all    whether control tokens count; user-defined ones always do
   * @param plain  gets each stretch of other text: [start, end), never empty
   * @param token  gets each token
   */
  split(
    text: string,
    all: boolean,
    plain: (start: number, end: number) => void,
    token: (id: number, start: number, end: number) => void,
  ): void {
    const starts = all ? this.starts : this.startsUserDefined;
    let done = 0;
    for (let i = 0; i < text.length; ) {
      if (starts[text.charCodeAt(i)] === 0) {
        i++;
        continue;
      }
      let found = -1;
      let end = i;
      let node = 0;
      for (let at = i; at < text.length; ) {
        node = this.trie.next(node, text.charCodeAt(at++));
        if (node < 0) break;
        const id = this.trie.idAt(node);
        if (id >= 0 && (all || this.vocabulary.types[id] === TokenType.userDefined)) {
          found = id;
          end = at;
        }
      }
      if (found < 0) {
        i++;
        continue;
      }
      if (i > done) plain(done, i);
      token(found, i, end);
      i = done = end;
    }
    if (text.length > done) plain(done, text.length);
  }
}
