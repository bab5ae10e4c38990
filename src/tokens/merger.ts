import { wordLength } from "./errors.ts";

/** In what order pairs join, and to what. */
export interface MergeOrder {
  /** A pair's place in the order of joining, 0 ≤ rank < 2^26, or -1 if it does not join. */
  rank(left: number, right: number): number;

  /** The id of a pair that joins. */
  join(left: number, right: number, rank: number): number;
}

/**
 * Joins neighbouring symbols, best pair first and the leftmost of equals, until no pair joins.
 *
 * Both byte-level BPE and SentencePiece BPE are this, with different orders. The symbols are a
 * linked list over their first positions and the pairs wait in a binary heap, so n symbols take
 * O(n log n) however hostile the text.
 */
export class Merger {
  /** The ids left after `merge`, in `ids[0…count)`. */
  ids = new Int32Array(64);
  private next = new Int32Array(64);
  private previous = new Int32Array(64);
  /** rank · 2^27 + position: one comparison orders by rank, then position. Exact below 2^53. */
  private heap = new Float64Array(192);
  private heaped = 0;
  private readonly order: MergeOrder;

  constructor(order: MergeOrder) {
    this.order = order;
  }

  /**
   * Makes room for `count` ids; call before writing to `ids`.
   *
   * @throws ClavisError `tokens.word_length` for more than 4 Mi
   */
  reserve(count: number): void {
    if (count > mostSymbols) throw wordLength();
    const room = this.ids.length;
    // What a very long word needed is given back with the next of usual length.
    if (count <= room && (room <= usualSymbols || count > usualSymbols)) return;
    const size = Math.max(count, Math.min(usualSymbols, room * 2));
    this.ids = new Int32Array(size);
    this.next = new Int32Array(size);
    this.previous = new Int32Array(size);
    // Each join pushes at most two pairs and removes one symbol, so no more than 3 · size are ever pushed.
    this.heap = new Float64Array(size * 3);
  }

  /** Joins `ids[0…count)` in place; returns how many ids are left. */
  merge(count: number): number {
    const { ids, next, previous, order } = this;
    this.heaped = 0;
    for (let i = 0; i < count; i++) {
      next[i] = i + 1 < count ? i + 1 : -1;
      previous[i] = i - 1;
      if (i + 1 < count) this.consider(i, i + 1);
    }
    while (this.heaped > 0) {
      const key = this.pop();
      const rank = Math.floor(key / positions);
      const left = key - rank * positions;
      const right = next[left];
      // A pair whose symbols were joined since is stale: its rank is not that of the pair there now.
      if (ids[left] < 0 || right < 0 || order.rank(ids[left], ids[right]) !== rank) continue;
      ids[left] = order.join(ids[left], ids[right], rank);
      ids[right] = -1;
      const after = next[right];
      next[left] = after;
      if (after >= 0) {
        previous[after] = left;
        this.consider(left, after);
      }
      if (previous[left] >= 0) this.consider(previous[left], left);
    }
    let kept = 0;
    for (let i = 0; i >= 0 && i < count; i = next[i]) ids[kept++] = ids[i];
    return kept;
  }

  private consider(left: number, right: number): void {
    const rank = this.order.rank(this.ids[left], this.ids[right]);
    if (rank >= 0) this.push(rank * positions + left);
  }

  private push(key: number): void {
    const { heap } = this;
    let at = this.heaped++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent] <= key) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = key;
  }

  private pop(): number {
    const { heap } = this;
    const least = heap[0];
    const last = heap[--this.heaped];
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= this.heaped) break;
      if (child + 1 < this.heaped && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= last) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return least;
  }
}

const positions = 2 ** 27;
/** 36 bytes each: 144 MiB at most. */
const mostSymbols = 2 ** 22;
const usualSymbols = 2 ** 16;
