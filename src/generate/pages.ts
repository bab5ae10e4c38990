/** A full page in the prefix index: what its tokens are, and the page before it. */
interface Entry {
  readonly page: number;
  readonly before: Entry | undefined;
  readonly tokens: Int32Array;
  readonly hash: number;
}

/**
 * The pages that one sequence holds, in order of position. Full ones may be shared with others and are
 * never written again; the last one is its own.
 */
export interface Holding {
  readonly pages: number[];
  /** How many of them, from the front, are in the index or were looked for there. */
  indexed: number;
  last: Entry | undefined;
}

/**
 * Hands out the pages of the key-value cache, and finds those that hold the beginning of a prompt already.
 *
 * A page is free, held by sequences (its references are counted), or kept: held by none, but in the index
 * in case a later prompt begins with it. Kept pages are given up, the longest unused first, when no page
 * is free. The index is a chain of hashes, one for each full page over its tokens and all before them;
 * the tokens themselves are compared, so that a collision finds nothing wrong.
 *
 * Sources: Kwon et al. 2023, arXiv:2309.06180 (pages); Zheng et al. 2023, arXiv:2312.07104 (prefix reuse)
 */
export class PagePool {
  readonly pages: number;
  readonly pagePositions: number;
  private readonly free: number[] = [];
  private readonly references: Int32Array;
  private readonly entries: (Entry | undefined)[];
  private readonly byHash = new Map<number, Entry[]>();
  /** Kept pages, the longest unused first: a Set iterates in order of insertion. */
  private readonly kept = new Set<number>();

  /**
   * @param pages          pages in the cache, numbered from 0
   * @param pagePositions  positions, so tokens, in a page
   */
  constructor(pages: number, pagePositions: number) {
    this.pages = pages;
    this.pagePositions = pagePositions;
    this.references = new Int32Array(pages);
    this.entries = new Array<Entry | undefined>(pages);
    for (let page = pages - 1; page >= 0; page--) this.free.push(page);
  }

  /** Pages that `extend` could hand out now: the free and the kept ones. */
  get available(): number {
    return this.free.length + this.kept.size;
  }

  /** A holding without pages. */
  hold(): Holding {
    return { pages: [], indexed: 0, last: undefined };
  }

  /**
   * Counts the full pages that hold the beginning of these tokens, without taking them.
   *
   * @param most  how many tokens may be covered at most
   * @returns     pages that could be shared, and how many of them are kept, so counted in `available`
   */
  find(tokens: ArrayLike<number>, most: number): { pages: number; kept: number } {
    const chain = this.chain(tokens, most);
    return { pages: chain.length, kept: chain.filter(({ page }) => this.kept.has(page)).length };
  }

  /**
   * Starts an empty holding with the full pages that hold the beginning of these tokens.
   *
   * @param most  how many tokens may be covered at most, so that one is left whose logits are computed
   * @returns     tokens covered, a multiple of pagePositions
   */
  reuse(holding: Holding, tokens: ArrayLike<number>, most: number): number {
    for (const entry of this.chain(tokens, most)) {
      this.references[entry.page]++;
      this.kept.delete(entry.page);
      holding.pages.push(entry.page);
      holding.last = entry;
      holding.indexed++;
    }
    return holding.pages.length * this.pagePositions;
  }

  /** Adds a page to the holding. @returns false where none is free or kept, and nothing was done */
  extend(holding: Holding): boolean {
    const page = this.free.pop() ?? this.giveUp();
    if (page === undefined) return false;
    this.references[page] = 1;
    holding.pages.push(page);
    return true;
  }

  /**
   * Puts pages that have become full into the index. Where the index has the same tokens in another page
   * already, the holding takes that one and lets go of its own.
   *
   * @param tokens    tokens of the sequence
   * @param computed  how many of them, from the front, are in the cache
   */
  index(holding: Holding, tokens: ArrayLike<number>, computed: number): void {
    while ((holding.indexed + 1) * this.pagePositions <= computed) {
      const at = holding.indexed;
      const start = at * this.pagePositions;
      const hash = chainHash(holding.last, tokens, start, this.pagePositions);
      const page = holding.pages[at];
      let entry = this.lookUp(hash, holding.last, tokens, start);
      if (entry === undefined) {
        const own = Int32Array.from({ length: this.pagePositions }, (_, i) => tokens[start + i]);
        entry = { page, before: holding.last, tokens: own, hash };
        const same = this.byHash.get(hash);
        if (same) same.push(entry);
        else this.byHash.set(hash, [entry]);
        this.entries[page] = entry;
      } else {
        this.references[entry.page]++;
        this.kept.delete(entry.page);
        holding.pages[at] = entry.page;
        this.drop(page);
      }
      holding.last = entry;
      holding.indexed++;
    }
  }

  /** Lets go of all pages. The full ones stay in the index until their room is needed. */
  release(holding: Holding): void {
    // From the end, so that a page is given up before the one that it continues.
    for (const page of holding.pages.reverse()) this.drop(page);
    holding.pages.length = 0;
    holding.indexed = 0;
    holding.last = undefined;
  }

  private drop(page: number): void {
    if (--this.references[page] > 0) return;
    if (this.entries[page]) this.kept.add(page);
    else this.free.push(page);
  }

  /** Takes the kept page that was unused for longest out of the index. */
  private giveUp(): number | undefined {
    for (const page of this.kept) {
      this.kept.delete(page);
      const entry = this.entries[page]!;
      this.entries[page] = undefined;
      const same = this.byHash.get(entry.hash)!;
      same.splice(same.indexOf(entry), 1);
      if (same.length === 0) this.byHash.delete(entry.hash);
      return page;
    }
    return undefined;
  }

  private chain(tokens: ArrayLike<number>, most: number): Entry[] {
    const chain: Entry[] = [];
    let last: Entry | undefined;
    const end = Math.min(tokens.length, most);
    for (let start = 0; start + this.pagePositions <= end; start += this.pagePositions) {
      last = this.lookUp(chainHash(last, tokens, start, this.pagePositions), last, tokens, start);
      if (last === undefined) break;
      chain.push(last);
    }
    return chain;
  }

  private lookUp(
    hash: number,
    before: Entry | undefined,
    tokens: ArrayLike<number>,
    start: number,
  ): Entry | undefined {
    return this.byHash
      .get(hash)
      ?.find((entry) => entry.before === before && entry.tokens.every((id, i) => id === tokens[start + i]));
  }
}

/** FNV-1a over whole tokens, going on from the page before. Source: Fowler, Noll, Vo, RFC 9923 */
function chainHash(
  before: Entry | undefined,
  tokens: ArrayLike<number>,
  start: number,
  count: number,
): number {
  let hash = before === undefined ? 0x811c9dc5 : before.hash;
  for (let i = start; i < start + count; i++) hash = Math.imul(hash ^ tokens[i], 0x01000193);
  return hash;
}
