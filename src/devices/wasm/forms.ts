import { f16At } from "../../bytes/float.ts";
import { type GridType, gridTypes } from "../../bytes/layouts/iq.ts";
import { rowBytes, type TensorType, tensorTypes } from "../../bytes/types.ts";
import type { MatrixWeight } from "../../plan/plan.ts";
import { packedType } from "../device.ts";
import { readRows } from "../weights.ts";

/** How the kernels take the rows of a matrix before they interleave them. */
export interface Form {
  /** The kernels' number of it: GGUF's of the type, or one that no file has (kernels/wasm/formats/shape.ts). */
  readonly format: number;
  /** Values and bytes of a block. */
  readonly values: number;
  readonly bytes: number;
}

/**
 * Types with tables of codes, whose look-ups would cost more than their bytes save: per 256 values d · factor (f32),
 * a scale of 8 bits for each 32 or 16 of them, and the codes.
 */
const codes32: Form = { format: 256, values: 256, bytes: 4 + 8 + 256 };
const codes16: Form = { format: 257, values: 256, bytes: 4 + 16 + 256 };

const gridOf = (type: TensorType): GridType | undefined =>
  (gridTypes as Partial<Record<TensorType, GridType>>)[type];

/** The form that a tensor type is kept in. */
export function formOf(type: TensorType): Form {
  const grid = gridOf(type);
  if (grid) return grid.scaleValues === 32 ? codes32 : codes16;
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
  const { layout, factor, scaleValues, scale, codes } = grid;
  const step = formOf(type).bytes;
  const scales = layout.values / scaleValues;
  const target = new Uint8Array((bytes.length / layout.bytes) * step);
  const view = new DataView(target.buffer);
  const signed = new Int8Array(target.buffer);
  for (let at = 0, to = 0; at < bytes.length; at += layout.bytes, to += step) {
    view.setFloat32(to, f16At(bytes, at + layout.at.d) * factor, true);
    for (let index = 0; index < scales; index++) target[to + 4 + index] = scale(bytes, at, index);
    codes(bytes, at, signed, to + 4 + scales);
  }
  return target;
}
