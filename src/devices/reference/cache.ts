import { f16ToF32, f32ToF16Saturating } from "../../bytes/float.ts";
import { type CacheShape, pagePositions } from "../../plan/plan.ts";
import { type QuantizedRow, quantize } from "./activations.ts";
import { f32 } from "./math.ts";

/**
 * Keys and values of every layer, page by page, as the contract keeps them: rounded to f16, or
 * quantised per 32 values. This device stores what a reader would read back.
 */
export class Cache {
  readonly #shape: CacheShape;
  readonly #keys: Float32Array;
  readonly #values: Float32Array;
  readonly #scratch: QuantizedRow;

  constructor(shape: CacheShape) {
    this.#shape = shape;
    const { layers, pages, kvHeads, headWidth } = shape;
    const size = layers * pages * pagePositions * kvHeads * headWidth;
    this.#keys = new Float32Array(size);
    this.#values = new Float32Array(size);
    this.#scratch = {
      codes: new Int8Array(headWidth),
      scales: new Float32Array(Math.ceil(headWidth / 32)),
      sums: new Int32Array(Math.ceil(headWidth / 16)),
    };
  }

  get bytes(): number {
    return this.#keys.byteLength * 2;
  }

  /** Where one head's key (and value) of a position begins in `keys` (and `values`). */
  at(layer: number, pages: Int32Array, position: number, head: number): number {
    const { kvHeads, headWidth, pages: count } = this.#shape;
    const page = pages[Math.floor(position / pagePositions)];
    const row = (layer * count + page) * pagePositions + (position % pagePositions);
    return (row * kvHeads + head) * headWidth;
  }

  get keys(): Float32Array {
    return this.#keys;
  }

  get values(): Float32Array {
    return this.#values;
  }

  /** Stores one head's key and value. */
  store(at: number, key: Float32Array, value: Float32Array): void {
    this.#keep(this.#keys, at, key);
    this.#keep(this.#values, at, value);
  }

  #keep(target: Float32Array, at: number, x: Float32Array): void {
    if (this.#shape.type === "f16") {
      for (let i = 0; i < x.length; i++) target[at + i] = f16ToF32(f32ToF16Saturating(x[i]));
      return;
    }
    quantize(x, 0, x.length, this.#scratch);
    const { codes, scales } = this.#scratch;
    for (let i = 0; i < x.length; i++) target[at + i] = f32(scales[i >> 5] * codes[i]);
  }
}
