import type { Scorer } from "../../src/measure/perplexity.ts";

/** A model whose logits depend on the last token alone. */
export class TableScorer implements Scorer {
  readonly contextLength = 64;
  /** The tokens of each call. */
  readonly read: number[][] = [];
  private readonly table: (token: number) => Float32Array;

  constructor(table: (token: number) => Float32Array) {
    this.table = table;
  }

  async score(
    tokens: ArrayLike<number>,
    first: number,
    onRow: (logits: Float32Array, index: number) => void,
  ): Promise<void> {
    this.read.push(Array.from(tokens));
    for (let index = first; index < tokens.length; index++) onRow(this.table(tokens[index]), index);
  }
}
