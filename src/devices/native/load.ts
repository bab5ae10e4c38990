import { rowBytes } from "../../bytes/types.ts";
import type { MatrixWeight, Plan } from "../../plan/plan.ts";
import { type ProgramOptions, packedType } from "../device.ts";
import { fileBytes, readRows, readVector } from "../weights.ts";
import type { Addon, NativeProgram } from "./addon.ts";

/** What the file's bytes are read into before they are packed: two of these. */
const usualStagingBytes = 4 * 2 ** 20;

/**
 * Reads all weights of a plan to their places. A matrix goes through two buffers: while the threads pack one, the
 * other is read into.
 *
 * @param group  rows that lie interleaved once packed
 */
export async function loadWeights(
  plan: Plan,
  addon: Addon,
  program: NativeProgram,
  group: number,
  options: ProgramOptions,
): Promise<void> {
  const all = plan.weights.reduce((sum, weight) => sum + fileBytes(weight), 0);
  let done = 0;
  const advance = (bytes: number) => {
    done += bytes;
    options.progress?.(done, all);
  };
  const largest = Math.max(
    0,
    ...plan.weights.map((weight) => (weight.kind === "matrix" ? packedRow(weight) : 0)),
  );
  const stagingBytes = Math.max(usualStagingBytes, largest * group);
  let [staging, other] = [addon.staging(stagingBytes), addon.staging(stagingBytes)];
  let packing: Promise<void> = Promise.resolve();
  try {
    for (const [index, weight] of plan.weights.entries()) {
      options.signal?.throwIfAborted();
      if (weight.kind === "frequencies") {
        addon.setWeight(program, index, new Uint8Array(weight.values.slice().buffer));
      } else if (weight.kind === "vector") {
        addon.setWeight(program, index, new Uint8Array((await readVector(weight)).buffer));
        advance(fileBytes(weight));
      } else {
        await loadMatrix(weight, index);
      }
    }
    await packing;
  } finally {
    // The threads may not be at work on memory that an error gives up.
    await packing.catch(() => {});
    addon.release(staging);
    addon.release(other);
  }

  async function loadMatrix(weight: MatrixWeight, index: number): Promise<void> {
    const bytes = packedRow(weight);
    const most = Math.floor(stagingBytes / bytes / group) * group;
    for (let expert = 0; expert < weight.experts; expert++) {
      for (let first = 0; first < weight.rows; first += most) {
        options.signal?.throwIfAborted();
        const rows = Math.min(most, weight.rows - first);
        const target = new Uint8Array(staging, 0, rows * bytes);
        await readRows(weight, expert * weight.rows + first, target);
        await packing;
        packing = addon.pack(program, index, expert, first, rows, target);
        [staging, other] = [other, staging];
        advance(rows * rowBytes(weight.type, weight.width));
      }
    }
  }
}

/** Bytes of a row before it is interleaved with others. */
const packedRow = ({ type, width }: MatrixWeight): number => rowBytes(packedType(type), width);
