/** The mean of values given one by one, and how uncertain it is, in binary64. Source: Welford 1962 */
export class RunningMean {
  count = 0;
  mean = 0;
  largest = Number.NEGATIVE_INFINITY;
  /** Sum of squared differences from the mean. */
  private spread = 0;

  add(value: number): void {
    this.count++;
    const before = value - this.mean;
    this.mean += before / this.count;
    this.spread += before * (value - this.mean);
    this.largest = Math.max(this.largest, value);
  }

  /** Of the mean, as if the values were independent; 0 for a single one. */
  get standardError(): number {
    return this.count < 2 ? 0 : Math.sqrt(this.spread / (this.count - 1) / this.count);
  }
}
