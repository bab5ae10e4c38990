import { PairTable } from "./pair-table.ts";

/** Finds the tokens that start at a position of a text, by UTF-16 units. */
export class Trie {
  /** (node, unit) → node; the root is 0. */
  private readonly edges: PairTable;
  /** The token that ends at each node, or -1. */
  private ends = new Int32Array(1024).fill(-1);
  private nodes = 1;

  /** @param expected  about how many units all tokens have together */
  constructor(expected: number) {
    this.edges = new PairTable(expected);
  }

  add(text: string, id: number): void {
    let node = 0;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      const next = this.edges.get(node, unit, -1);
      if (next >= 0) node = next;
      else {
        this.edges.add(node, unit, this.nodes);
        node = this.nodes++;
        if (node === this.ends.length) {
          const ends = new Int32Array(this.ends.length * 2).fill(-1);
          ends.set(this.ends);
          this.ends = ends;
        }
      }
    }
    this.ends[node] = id;
  }

  /** The node after a unit, or -1. */
  next(node: number, unit: number): number {
    return this.edges.get(node, unit, -1);
  }

  /** The token that ends at a node, or -1. */
  idAt(node: number): number {
    return this.ends[node];
  }
}
