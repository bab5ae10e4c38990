/** Differs from run to run, so that no file can be made whose pairs all fall together. */
const seed = (Math.random() * 2 ** 32) | 0;

/**
 * A hash table from pairs of ids to a number, in one typed array: a merge is looked up without
 * making a string or an object. Open addressing, at most half full.
 */
export class PairTable {
  size = 0;
  private mask: number;
  /** Left, right, value for each slot; left is -1 in an empty slot. */
  private slots: Int32Array;

  /** @param expected  about how many pairs will be stored */
  constructor(expected: number) {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(16, expected * 2)));
    this.mask = capacity - 1;
    this.slots = new Int32Array(capacity * 3).fill(-1);
  }

  /** The value stored for a pair, or `missing`. */
  get(left: number, right: number, missing: number): number {
    const at = this.find(left, right);
    return this.slots[at] < 0 ? missing : this.slots[at + 2];
  }

  /** Stores a value unless the pair has one; false when it had. */
  add(left: number, right: number, value: number): boolean {
    if (this.size * 2 > this.mask) this.grow();
    const at = this.find(left, right);
    if (this.slots[at] >= 0) return false;
    this.slots[at] = left;
    this.slots[at + 1] = right;
    this.slots[at + 2] = value;
    this.size++;
    return true;
  }

  /** Where the pair is, or the empty slot where it would go. */
  private find(left: number, right: number): number {
    const { slots, mask } = this;
    // Odd constants of the golden ratio and of murmur3's finaliser spread neighbouring ids.
    let hash = Math.imul(left ^ seed, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15) ^ right, 0x85ebca6b);
    hash ^= hash >>> 13;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const at = slot * 3;
      if (slots[at] < 0 || (slots[at] === left && slots[at + 1] === right)) return at;
    }
  }

  private grow(): void {
    const old = this.slots;
    this.mask = this.mask * 2 + 1;
    this.slots = new Int32Array((this.mask + 1) * 3).fill(-1);
    for (let at = 0; at < old.length; at += 3) {
      if (old[at] < 0) continue;
      const to = this.find(old[at], old[at + 1]);
      this.slots[to] = old[at];
      this.slots[to + 1] = old[at + 1];
      this.slots[to + 2] = old[at + 2];
    }
  }
}
