import * as errors from "./errors.ts";
import type { MergeOrder } from "./merger.ts";
import { PairTable } from "./pair-table.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Joins pairs in the order in which the vocabulary lists its merges. */
export class ListedOrder implements MergeOrder {
  private readonly ranks: PairTable;
  private readonly joined: Int32Array;

  /**
   * @param options.skipsUnknown  leave out merges that name unknown tokens; default false, they are errors
   * @throws ClavisError `tokens.merge`, `tokens.merge_unknown`
   */
  constructor({ idOf }: Vocabulary, merges: readonly string[], { skipsUnknown = false } = {}) {
    this.ranks = new PairTable(merges.length);
    this.joined = new Int32Array(merges.length);
    for (let rank = 0; rank < merges.length; rank++) {
      const merge = merges[rank];
      // From index 1: the left token may itself begin with a space.
      const space = merge.indexOf(" ", 1);
      if (space < 0 || space === merge.length - 1) throw errors.mergeForm(rank, merge);
      const leftId = idOf.get(merge, 0, space);
      const rightId = idOf.get(merge, space + 1);
      const joinedId = idOf.getWithout(merge, space, space + 1);
      if (leftId === undefined || rightId === undefined || joinedId === undefined) {
        if (skipsUnknown) continue;
        const left = merge.slice(0, space);
        const right = merge.slice(space + 1);
        const missing = leftId === undefined ? left : rightId === undefined ? right : left + right;
        throw errors.mergeUnknown(rank, merge, missing);
      }
      this.ranks.add(leftId, rightId, rank);
      this.joined[rank] = joinedId;
    }
  }

  rank(left: number, right: number): number {
    return this.ranks.get(left, right, -1);
  }

  join(_left: number, _right: number, rank: number): number {
    return this.joined[rank];
  }
}
