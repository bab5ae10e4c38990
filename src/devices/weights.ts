import { dequantize } from "../bytes/dequantize.ts";
import type { Tensor } from "../bytes/gguf.ts";
import { quantizeQ8_0 } from "../bytes/integer-blocks.ts";
import { read } from "../bytes/source.ts";
import { rowBytes } from "../bytes/types.ts";
import type { MatrixWeight, VectorWeight, Weight } from "../plan/plan.ts";
import { packedType } from "./device.ts";

/** Bytes that a weight takes in the file. */
export const fileBytes = (weight: Weight): number =>
  weight.kind === "frequencies" ? 0 : weight.parts.reduce((sum, part) => sum + part.bytes, 0);

/**
 * Reads rows of a matrix as `packedType` has them: as in the file, or expanded to Q8_0.
 *
 * @param first   row, counted over all experts and joined parts
 * @param target  whole rows; may be a view of shared memory
 */
export async function readRows(weight: MatrixWeight, first: number, target: Uint8Array): Promise<void> {
  const type = packedType(weight.type);
  const fileRow = rowBytes(weight.type, weight.width);
  if (type === weight.type) {
    await readParts(weight.parts, first * fileRow, target);
    return;
  }
  const rows = target.length / rowBytes(type, weight.width);
  const bytes = new Uint8Array(rows * fileRow);
  await readParts(weight.parts, first * fileRow, bytes);
  const values = new Float32Array(rows * weight.width);
  dequantize(weight.type, bytes, values);
  target.set(quantizeQ8_0(values));
}

/** Fills `target` with the bytes from `offset` on of tensors taken as one, end to end. */
async function readParts(parts: readonly Tensor[], offset: number, target: Uint8Array): Promise<void> {
  let at = 0;
  let start = 0; // of the part, counted over all
  for (const part of parts) {
    const from = offset + at - start;
    if (at < target.length && from < part.bytes) {
      const length = Math.min(part.bytes - from, target.length - at);
      await part.source.readInto(part.offset + from, target.subarray(at, at + length));
      at += length;
    }
    start += part.bytes;
  }
}

/** The f32 values of a norm's weight or a bias. */
export async function readVector(weight: VectorWeight): Promise<Float32Array> {
  const vector = new Float32Array(weight.length);
  let at = 0;
  for (const part of weight.parts) {
    const bytes = await read(part.source, part.offset, part.bytes);
    dequantize(part.type, bytes, vector.subarray(at, at + part.values));
    at += part.values;
  }
  return vector;
}
