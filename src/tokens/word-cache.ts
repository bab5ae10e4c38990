import type { IdList } from "./id-list.ts";

/** Words remembered; English text of any length has fewer that matter. */
const mostWords = 1 << 16;
/** Longer words are not remembered: they seldom come again, and a hostile text would fill the memory. */
const longestWord = 48;

/** Remembers the ids of words. When it is full it starts again, which needs no bookkeeping for each word. */
export class WordCache {
  private readonly words = new Map<string, number | Int32Array>();

  /** Appends the ids of a word that is known; false when it is not. */
  append(word: string, out: IdList): boolean {
    const known = this.words.get(word);
    if (known === undefined) return false;
    if (typeof known === "number") out.push(known);
    else out.pushAll(known);
    return true;
  }

  remember(word: string, ids: Int32Array): void {
    if (word.length > longestWord) return;
    if (this.words.size >= mostWords) this.words.clear();
    this.words.set(word, ids.length === 1 ? ids[0] : ids);
  }
}
