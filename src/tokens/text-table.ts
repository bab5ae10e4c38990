/**
 * A hash table from token texts to ids. It looks up parts of a string, and two parts as if they were
 * joined, without making strings: reading 100,000 merges with a Map takes twice as long.
 */
export class TextTable {
  private readonly texts: readonly string[];
  private readonly mask: number;
  /** id + 1 for each slot; 0 is empty. */
  private readonly slots: Int32Array;
  /** [V] the hash of each text that was added. */
  private readonly hashes: Int32Array;
  /** Differs from run to run, so that no file can be made whose texts all fall together. */
  private readonly seed = (Math.random() * 2 ** 32) | 0;

  /** An empty table for some of these texts. */
  constructor(texts: readonly string[]) {
    this.texts = texts;
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(16, texts.length * 2)));
    this.mask = capacity - 1;
    this.slots = new Int32Array(capacity);
    this.hashes = new Int32Array(texts.length);
  }

  /** Adds a text, or puts the id in the place of the one that it had. */
  set(id: number): void {
    const text = this.texts[id];
    const hash = this.hash(this.seed, text, 0, text.length);
    const slot = this.find(hash, text, 0, text.length, 0, 0);
    this.slots[slot] = id + 1;
    this.hashes[id] = hash;
  }

  /** The id of a text, or of the part [start, end) of it. */
  get(text: string, start = 0, end = text.length): number | undefined {
    const hash = this.hash(this.seed, text, start, end);
    const id = this.slots[this.find(hash, text, start, end, end, end)] - 1;
    return id < 0 ? undefined : id;
  }

  /** The id of what stands around the part [from, to) of a text: the rest of it, joined. */
  getWithout(text: string, from: number, to: number): number | undefined {
    const hash = this.hash(this.hash(this.seed, text, 0, from), text, to, text.length);
    const id = this.slots[this.find(hash, text, 0, from, to, text.length)] - 1;
    return id < 0 ? undefined : id;
  }

  private hash(start: number, text: string, from: number, to: number): number {
    let hash = start;
    for (let i = from; i < to; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  /** The slot of the text [a, b) + [c, d), or the empty one where it would go. */
  private find(hash: number, text: string, a: number, b: number, c: number, d: number): number {
    for (let slot = hash & this.mask; ; slot = (slot + 1) & this.mask) {
      const id = this.slots[slot] - 1;
      if (id < 0 || (this.hashes[id] === hash && this.equal(this.texts[id], text, a, b, c, d))) return slot;
    }
  }

  private equal(known: string, text: string, a: number, b: number, c: number, d: number): boolean {
    if (known.length !== b - a + (d - c)) return false;
    let at = 0;
    for (let i = a; i < b; i++) if (known.charCodeAt(at++) !== text.charCodeAt(i)) return false;
    for (let i = c; i < d; i++) if (known.charCodeAt(at++) !== text.charCodeAt(i)) return false;
    return true;
  }
}
