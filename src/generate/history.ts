/** The tokens of prompt and answer, and how often each of the newest `window` occurs. */
export class History {
  /** Distinct tokens among the newest `window`, with their counts. */
  readonly recent = new Map<number, number>();
  private readonly window: number;
  private tokens = new Int32Array(256);
  private length = 0;

  /** @param window  how many tokens `recent` counts; Infinity for all */
  constructor(window: number) {
    this.window = window;
  }

  add(token: number): void {
    if (this.length === this.tokens.length) {
      const longer = new Int32Array(2 * this.length);
      longer.set(this.tokens);
      this.tokens = longer;
    }
    this.tokens[this.length++] = token;
    this.recent.set(token, (this.recent.get(token) ?? 0) + 1);
    if (this.length > this.window) {
      const leaving = this.tokens[this.length - 1 - this.window];
      const count = this.recent.get(leaving)! - 1;
      if (count === 0) this.recent.delete(leaving);
      else this.recent.set(leaving, count);
    }
  }

  /** The newest `count` tokens, oldest first; a view that the next `add` may outdate. */
  newest(count: number): Int32Array {
    return this.tokens.subarray(Math.max(0, this.length - count), this.length);
  }
}
