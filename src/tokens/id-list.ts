/** A list of token ids that grows; cheaper than an array of boxed numbers for long texts. */
export class IdList {
  length = 0;
  private ids = new Int32Array(256);

  push(id: number): void {
    if (this.length === this.ids.length) this.grow(this.length + 1);
    this.ids[this.length++] = id;
  }

  pushAll(ids: Int32Array): void {
    if (this.length + ids.length > this.ids.length) this.grow(this.length + ids.length);
    this.ids.set(ids, this.length);
    this.length += ids.length;
  }

  /** A copy of the ids from `start` on. */
  copy(start = 0): Int32Array {
    return this.ids.slice(start, this.length);
  }

  private grow(least: number): void {
    const ids = new Int32Array(Math.max(least, this.ids.length * 2));
    ids.set(this.ids);
    this.ids = ids;
  }
}
