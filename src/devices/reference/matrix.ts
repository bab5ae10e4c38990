import { bf16ToF32 } from "../../bytes/float.ts";
import { decodeIntegers, type IntegerRow, isIntegerType, newIntegerRow } from "../../bytes/integer-blocks.ts";
import { rowBytes, type TensorType } from "../../bytes/types.ts";
import { type QuantizedRow, quantizedRow } from "./activations.ts";
import { dot16, f32 } from "./math.ts";

/** Formats with a minimum beside the scale, so with a second sum. */
const typesWithMinima: ReadonlySet<TensorType> = new Set(["Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K"]);

/** Rows of weights as they lie in the file, of a type that the contract computes with. */
export interface Matrix {
  readonly type: TensorType;
  readonly bytes: Uint8Array;
  readonly rows: number;
  readonly width: number;
}

/** Reads rows of a matrix, one at a time. */
export class RowReader {
  readonly #matrix: Matrix;
  readonly #stride: number;
  readonly #integers: IntegerRow | undefined;
  readonly #floats: Float32Array;
  readonly #hasMinima: boolean;

  constructor(matrix: Matrix) {
    this.#matrix = matrix;
    this.#stride = rowBytes(matrix.type, matrix.width);
    this.#integers = isIntegerType(matrix.type) ? newIntegerRow(matrix.width) : undefined;
    this.#floats = new Float32Array(matrix.width);
    this.#hasMinima = typesWithMinima.has(matrix.type);
  }

  /** One row times an activation row: `x` in the form that the matrix's type asks for. */
  dot(row: number, x: QuantizedRow | Float32Array): number {
    if (x instanceof Float32Array) return dot16(this.#float(row), 0, x, 0, this.#matrix.width);
    return dotIntegers(this.#integer(row), x, this.#matrix.width, this.#hasMinima);
  }

  /** One row as f32 values: d · f32(scale · code) − dmin · f32(min). */
  values(row: number): Float32Array {
    if (!this.#integers) return this.#float(row);
    const { codes, scales, mins, d, dmin } = this.#integer(row);
    return this.#floats.map((_, i) => {
      // A whole number has no −0, which a negative scale times a code of 0 would be.
      const value = f32(d[i >> 5] * (scales[i >> 4] * codes[i] + 0));
      return this.#hasMinima ? f32(value - f32(dmin[i >> 5] * mins[i >> 4])) : value;
    });
  }

  #integer(row: number): IntegerRow {
    const { type, bytes, width } = this.#matrix;
    decodeIntegers(type, bytes, row * this.#stride, width, this.#integers!);
    return this.#integers!;
  }

  #float(row: number): Float32Array {
    const { type, bytes, width } = this.#matrix;
    const view = new DataView(bytes.buffer, bytes.byteOffset + row * this.#stride, this.#stride);
    for (let i = 0; i < width; i++) {
      this.#floats[i] =
        type === "F32"
          ? view.getFloat32(i * 4, true)
          : type === "BF16"
            ? bf16ToF32(view.getUint16(i * 2, true))
            : finiteF16(view.getUint16(i * 2, true));
    }
    return this.#floats;
  }
}

const powersOfTwo = Float64Array.from({ length: 32 }, (_, e) =>
  e < 15 ? 1 / (1 << (15 - e)) : 1 << (e - 15),
);

/** An f16 whose exponent field is never special: 31 reads as an ordinary exponent. */
export function finiteF16(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const magnitude = exponent === 0 ? fraction / 16777216 : (1 + fraction / 1024) * powersOfTwo[exponent];
  return bits & 0x8000 ? -magnitude : magnitude;
}

/** The formula of docs/numerics.md, "Integer weights × activations". */
function dotIntegers(weight: IntegerRow, x: QuantizedRow, width: number, hasMinima: boolean): number {
  let acc = 0;
  for (let block = 0; block < width / 32; block++) {
    let dot = 0;
    let low = 0;
    for (let half = block * 2; half < block * 2 + 2; half++) {
      let sum = 0;
      for (let i = half * 16; i < half * 16 + 16; i++) sum += weight.codes[i] * x.codes[i];
      dot += weight.scales[half] * sum;
      low += weight.mins[half] * x.sums[half];
    }
    const da = x.scales[block];
    acc = f32(acc + f32(f32(da * weight.d[block]) * f32(dot)));
    if (hasMinima) acc = f32(acc - f32(f32(da * weight.dmin[block]) * f32(low)));
  }
  return acc;
}

/** Activation rows of the arena in the form that a matrix's type asks for. */
export function activationRow(
  type: TensorType,
  arena: ArrayBuffer,
  offset: number,
  width: number,
): QuantizedRow | Float32Array {
  return isIntegerType(type) ? quantizedRow(arena, offset, width) : new Float32Array(arena, offset, width);
}
