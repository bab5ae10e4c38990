import { type GridType, gridTypes } from "../../bytes/layouts/iq.ts";
import { rowBytes, type TensorType, tensorTypes } from "../../bytes/types.ts";
import type { MatrixWeight } from "../../plan/plan.ts";
import { packedType } from "../device.ts";
import { readRows } from "../weights.ts";

/** How the kernels take the rows of a matrix before they interleave them. */
export interface Form {
  /** The kernels' number of it: GGUF's of a type. */
  readonly format: number;
  /** Values and bytes of a block. */
  readonly values: number;
  readonly bytes: number;
}

const gridOf = (type: TensorType): GridType | undefined =>
  (gridTypes as Partial<Record<TensorType, GridType>>)[type];

// Types with tables: kernels do not look entries up. Each code becomes its place among the few magnitudes that its type
// has, and its sign. A block: d as it is; the 4-bit scales, in the order of the values; then
//   IQ3  half-bytes as in IQ4_XS: three bits of place, and 8 where the code is negative
//   IQ2  as in Q3_K 32 bytes of signs and 64 bytes of places, two bits each

const scaleBytes = ({ scaleValues }: GridType) => 256 / scaleValues / 2;
const isHalfBytes = ({ magnitudes }: GridType) => magnitudes.length > 4;
const codeBytes = (grid: GridType) => (isHalfBytes(grid) ? 128 : 96);

/** The form that a tensor type is kept in. */
export function formOf(type: TensorType): Form {
  const grid = gridOf(type);
  if (grid) {
    // IQ2_S has the form of IQ2_XS.
    const format = tensorTypes[type === "IQ2_S" ? "IQ2_XS" : type].id;
    return { format, values: 256, bytes: 2 + scaleBytes(grid) + codeBytes(grid) };
  }
  const { id, block, bytes } = tensorTypes[packedType(type)];
  return { format: id, values: block, bytes };
}

/** Bytes of a row in the form of its type. */
export function formRowBytes(type: TensorType, width: number): number {
  const { values, bytes } = formOf(type);
  return (width / values) * bytes;
}

/**
 * Reads rows of a matrix in the form of its type.
 *
 * @param first   row, counted over all experts and joined parts
 * @param target  whole rows; may be a view of shared memory
 */
export async function readForm(weight: MatrixWeight, first: number, target: Uint8Array): Promise<void> {
  if (!gridOf(weight.type)) {
    await readRows(weight, first, target);
    return;
  }
  const rows = target.length / formRowBytes(weight.type, weight.width);
  const bytes = new Uint8Array(rows * rowBytes(weight.type, weight.width));
  await readRows(weight, first, bytes);
  target.set(toForm(weight.type, bytes));
}

/** Whole blocks of a type that is packed, in the form of the type. */
export function toForm(type: TensorType, bytes: Uint8Array): Uint8Array {
  const grid = gridOf(type);
  if (!grid) return bytes;
  const { layout, magnitudes, scaleValues } = grid;
  const step = formOf(type).bytes;
  const target = new Uint8Array((bytes.length / layout.bytes) * step);
  // The place of a code, and 8 where it is negative, by the code as a byte.
  const places = new Uint8Array(256);
  for (const [place, magnitude] of magnitudes.entries()) {
    places[magnitude] = place;
    places[256 - magnitude] = place | 8;
  }
  const codes = new Int8Array(256);
  for (let at = 0, to = 0; at < bytes.length; at += layout.bytes, to += step) {
    target[to] = bytes[at + layout.at.d];
    target[to + 1] = bytes[at + layout.at.d + 1];
    for (let index = 0; index < 256 / scaleValues; index++) {
      target[to + 2 + (index >> 1)] |= (grid.scale(bytes, at, index) >> 1) << (4 * (index & 1));
    }
    grid.codes(bytes, at, codes, 0);
    const q = to + 2 + scaleBytes(grid);
    if (isHalfBytes(grid)) {
      for (let i = 0; i < 128; i++) {
        const low = 2 * (i & ~15) + (i & 15);
        target[q + i] = places[codes[low] & 255] | (places[codes[low + 16] & 255] << 4);
      }
    } else {
      for (let i = 0; i < 256; i++) {
        const place = places[codes[i] & 255];
        target[q + (i & 31)] |= (place >> 3) << (i >> 5);
        target[q + 32 + 32 * (i >> 7) + (i & 31)] |= (place & 3) << (2 * ((i >> 5) & 3));
      }
    }
  }
  return target;
}
