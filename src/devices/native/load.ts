import { rowBytes } from "../../bytes/types.ts";
import type { MatrixWeight, Plan } from "../../plan/plan.ts";
import { type ProgramOptions, packedType } from "../device.ts";
import { noMemory } from "../errors.ts";
import { fileBytes, readRows, readVector } from "../weights.ts";
import type { Addon } from "./addon.ts";
import { isReadDirectly, startReading } from "./load-directly.ts";
import type { Loading } from "./loading.ts";

/** What the file's bytes are read into before they are packed: two of these. */
const usualStagingBytes = 4 * 2 ** 20;

/**
 * Reads all weights of a plan to their places. Matrices that lie in files as they are to be packed are read by the
 * kernels' own threads. They have begun when this returns its promise, so the caller can compute meanwhile.
 */
export async function loadWeights(plan: Plan, loading: Loading, options: ProgramOptions): Promise<void> {
  options.signal?.throwIfAborted();
  const all = plan.weights.reduce((sum, weight) => sum + fileBytes(weight), 0);
  let done = 0;
  const advance = (bytes: number) => {
    done += bytes;
    options.progress?.(done, all);
  };
  const matrices = [...plan.weights.entries()].filter(
    (entry): entry is [number, MatrixWeight] => entry[1].kind === "matrix",
  );
  const direct = matrices.filter(([, weight]) => isReadDirectly(weight));
  const others = matrices.filter(([, weight]) => !isReadDirectly(weight));
  const reading = startReading(direct, loading, options.progress && advance);
  options.signal?.addEventListener("abort", reading.stop);
  try {
    await loadVectors(plan, loading, { signal: options.signal, advance });
    await loadBuffered(others, loading, { signal: options.signal, advance });
    const whole = await reading.ended;
    options.signal?.throwIfAborted();
    // The system's own error comes of reading again.
    if (!whole) await loadBuffered(direct, loading, { signal: options.signal, advance: () => {} });
  } finally {
    options.signal?.removeEventListener("abort", reading.stop);
    reading.stop();
    await reading.ended;
  }
}

interface Reporting {
  readonly signal?: AbortSignal;
  /** Told how many more bytes of the file are done. */
  readonly advance: (bytes: number) => void;
}

/** Loads all that is no matrix. */
async function loadVectors(
  plan: Plan,
  { addon, program }: Loading,
  { signal, advance }: Reporting,
): Promise<void> {
  for (const [index, weight] of plan.weights.entries()) {
    signal?.throwIfAborted();
    if (weight.kind === "frequencies") {
      addon.setWeight(program, index, new Uint8Array(weight.values.slice().buffer));
    } else if (weight.kind === "vector") {
      addon.setWeight(program, index, new Uint8Array((await readVector(weight)).buffer));
      advance(fileBytes(weight));
    }
  }
}

/** Loads matrices through two buffers: while the threads pack one, the other is read into. */
async function loadBuffered(
  matrices: readonly (readonly [index: number, weight: MatrixWeight])[],
  { addon, program, group }: Loading,
  { signal, advance }: Reporting,
): Promise<void> {
  if (matrices.length === 0) return;
  const largest = Math.max(...matrices.map(([, weight]) => packedRow(weight)));
  const stagingBytes = Math.max(usualStagingBytes, largest * group);
  let [staging, other] = [makeStaging(addon, stagingBytes), makeStaging(addon, stagingBytes)];
  let packing: Promise<void> = Promise.resolve();
  try {
    for (const [index, weight] of matrices) await loadMatrix(index, weight);
    await packing;
  } finally {
    // The threads may not be at work on memory that an error gives up.
    await packing.catch(() => {});
    addon.release(staging);
    addon.release(other);
  }

  async function loadMatrix(index: number, weight: MatrixWeight): Promise<void> {
    const bytes = packedRow(weight);
    const most = Math.floor(stagingBytes / bytes / group) * group;
    for (let expert = 0; expert < weight.experts; expert++) {
      for (let first = 0; first < weight.rows; first += most) {
        signal?.throwIfAborted();
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

function makeStaging(addon: Addon, bytes: number): ArrayBuffer {
  try {
    return addon.staging(bytes);
  } catch (error) {
    throw noMemory(bytes, error);
  }
}

/** Bytes of a row before it is interleaved with others. */
const packedRow = ({ type, width }: MatrixWeight): number => rowBytes(packedType(type), width);
