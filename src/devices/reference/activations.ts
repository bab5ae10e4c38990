import { f32, roundHalfEven } from "./math.ts";

/** A row of activations quantised per 32 values, as docs/numerics.md says. */
export interface QuantizedRow {
  /** [n] whole numbers from −127 to 127. */
  readonly codes: Int8Array;
  /** [n / 32] f32. */
  readonly scales: Float32Array;
  /** [n / 16] sums of sixteen codes. */
  readonly sums: Int32Array;
}

/** The quantised row that lies at `offset` of a buffer, as views. */
export function quantizedRow(buffer: ArrayBufferLike, offset: number, n: number): QuantizedRow {
  return {
    codes: new Int8Array(buffer, offset, n),
    scales: new Float32Array(buffer, offset + n, n / 32),
    sums: new Int32Array(buffer, offset + n + (n / 32) * 4, n / 16),
  };
}

const tiny = f32(1e-30);

/** Quantises n f32 values from x[start]. */
export function quantize(x: Float32Array, start: number, n: number, out: QuantizedRow): void {
  for (let block = 0; block < n / 32; block++) {
    let largest = 0;
    for (let i = 0; i < 32; i++) largest = Math.max(largest, Math.abs(x[start + block * 32 + i]));
    let scale = 0;
    let inverse = 0;
    if (!(largest < Infinity)) {
      scale = NaN;
    } else if (largest >= tiny) {
      scale = f32(largest / 127);
      inverse = f32(127 / largest);
    }
    out.scales[block] = scale;
    out.sums[block * 2] = 0;
    out.sums[block * 2 + 1] = 0;
    for (let i = 0; i < 32; i++) {
      const at = block * 32 + i;
      const code = inverse === 0 ? 0 : roundHalfEven(f32(x[start + at] * inverse));
      out.codes[at] = code;
      out.sums[at >> 4] += code;
    }
  }
}
