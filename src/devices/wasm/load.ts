import { rowBytes } from "../../bytes/types.ts";
import type { MatrixWeight, Plan } from "../../plan/plan.ts";
import type { ProgramOptions } from "../device.ts";
import { fileBytes, readVector } from "../weights.ts";
import { formRowBytes, readForm } from "./forms.ts";
import type { Layout } from "./memory.ts";

/** Rows of a matrix in the staging area, to be packed to their place. */
export interface PackJob {
  readonly format: number;
  readonly source: number;
  readonly target: number;
  readonly rows: number;
  readonly width: number;
  readonly rowBytes: number;
}

/**
 * Reads all weights of a plan to their places in memory. A matrix goes through two staging areas: while the
 * threads pack one, the other is read into.
 *
 * @param pack         packs the rows; resolves when they are packed
 * @param packedBytes  bytes of the first rows of a packed matrix
 */
export async function loadWeights(
  plan: Plan,
  layout: Layout,
  memory: WebAssembly.Memory,
  pack: (job: PackJob) => Promise<void>,
  packedBytes: (format: number, rows: number, width: number) => number,
  options: ProgramOptions,
): Promise<void> {
  const all = plan.weights.reduce((sum, weight) => sum + fileBytes(weight), 0);
  let done = 0;
  let packing: Promise<void> = Promise.resolve();
  let area = 0;
  const advance = (bytes: number) => {
    done += bytes;
    options.progress?.(done, all);
  };
  try {
    for (let i = 0; i < plan.weights.length; i++) {
      const weight = plan.weights[i];
      const { address } = layout.weights[i];
      options.signal?.throwIfAborted();
      if (weight.kind === "frequencies") {
        new Float64Array(memory.buffer, address, weight.values.length).set(weight.values);
      } else if (weight.kind === "vector") {
        new Float32Array(memory.buffer, address, weight.length).set(await readVector(weight));
        advance(fileBytes(weight));
      } else {
        await loadMatrix(weight, i);
      }
    }
  } finally {
    // The threads may not be at work on memory that an error gives up.
    await packing;
  }

  async function loadMatrix(weight: MatrixWeight, index: number): Promise<void> {
    const { address, format, expertBytes } = layout.weights[index];
    const packedRow = formRowBytes(weight.type, weight.width);
    const fileRow = rowBytes(weight.type, weight.width);
    // Whole fours of rows, as many as an area has room for.
    const most = Math.floor(layout.stagingBytes / packedRow / 4) * 4;
    for (let expert = 0; expert < weight.experts; expert++) {
      for (let first = 0; first < weight.rows; first += most) {
        options.signal?.throwIfAborted();
        const rows = Math.min(most, weight.rows - first);
        const source = layout.arena + area * layout.stagingBytes;
        const target = address + expert * expertBytes + packedBytes(format, first, weight.width);
        const staging = new Uint8Array(memory.buffer, source, rows * packedRow);
        await readForm(weight, expert * weight.rows + first, staging);
        await packing;
        packing = pack({ format, source, target, rows, width: weight.width, rowBytes: packedRow });
        // Awaited before the next is posted; this only keeps a failure from being reported as unhandled.
        packing.catch(() => {});
        area = 1 - area;
        advance(rows * fileRow);
      }
    }
  }
}
