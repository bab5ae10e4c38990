import { isIntegerType } from "../bytes/integer-blocks.ts";
import type { TensorType } from "../bytes/types.ts";
import type { Plan } from "../plan/plan.ts";

/** Every device there is, quickest first; some may not be able to run here. */
export const deviceNames = ["native", "wasm", "reference"] as const;
export type DeviceName = (typeof deviceNames)[number];

/** One step: tokens of any number of sequences, prompts and answers alike. */
export interface Batch {
  /** [T] token ids. Tokens of one sequence are neighbours, in ascending position. */
  readonly tokens: Int32Array;
  /** [T] each token's position in its sequence, from 0. */
  readonly positions: Int32Array;
  /** [T] which row of `pageTables` each token's sequence has. */
  readonly slots: Int32Array;
  /** [S] page numbers of each sequence: position p lies in page `pageTables[s][p / pagePositions | 0]`. */
  readonly pageTables: readonly Int32Array[];
  /** [R] indices of the tokens whose logits are wanted, ascending. */
  readonly wanted: Int32Array;
}

/** A model packed and ready to run. */
export interface Program {
  /** Bytes held for weights, arena and cache together. */
  readonly memoryBytes: number;
  readonly threads: number;
  /**
   * Runs one step: writes the keys and values of its tokens to the cache.
   *
   * @returns logits [R · V] f32, row after row; a view that the next step overwrites
   * @throws ClavisError `device.closed` after close, `device.failed` where the device broke
   */
  run(batch: Batch): Promise<Float32Array>;
  /** Frees the memory and ends the threads. A second call does nothing. */
  close(): Promise<void>;
}

export interface ProgramOptions {
  /** Threads to compute with; the device may take fewer. Default: the device's choice. */
  readonly threads?: number;
  /** Told as the weights are read: bytes done of all. */
  readonly progress?: (doneBytes: number, allBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** What a device says of itself. */
export interface DeviceDescription {
  readonly name: DeviceName;
  /** Whether it can run here; if not, `reason` says why. */
  readonly available: boolean;
  readonly reason?: string;
  /** Where it can run, but not as quickly as the machine could: why. */
  readonly note?: string;
  /** The set of kernels in use, e.g. "relaxed-simd, shared memory". */
  readonly kernels: string;
  /** Kernels that fast mode takes for prompts with weights of one type or another, where they differ. */
  readonly fastKernels?: string;
  /** The same in reproducible mode; their results do not differ. */
  readonly exactKernels?: string;
  readonly threads: number;
}

/** How fast a device reads memory and multiplies on this machine; with all its threads. */
export interface DeviceMeasurement {
  readonly threads: number;
  /** Bytes a second, of memory that no cache holds. Generating a token reads all weights. */
  readonly readBytesPerSecond: number;
  /** Multiplications and additions a second, counted apart, in products of Q8_0 weights that a cache holds. */
  readonly integerOpsPerSecond: number;
}

/** What runs a tape. */
export interface Device {
  readonly name: DeviceName;
  /** Prompt tokens worth computing in one step: enough to spread the reading of weights over. */
  readonly stepTokens: number;
  describe(): Promise<DeviceDescription>;
  /** Measures what limits it, in a few tenths of a second; absent where that is not known how to. */
  measure?(): Promise<DeviceMeasurement>;
  /** What it computes a matrix of this type as: the type itself, or what its values are rounded to. */
  packedType(type: TensorType): TensorType;
  /** Bytes of a row of a matrix of this type as the device keeps it, `width` values. */
  packedRowBytes(type: TensorType, width: number): number;
  /** The kernel's name for each call of the tape, in order, for `clavis explain`. */
  kernelNames(plan: Plan): readonly string[];
  /** Reads and packs the plan's weights, and makes room for arena and cache. */
  program(plan: Plan, options?: ProgramOptions): Promise<Program>;
}

/**
 * What every CPU device computes a matrix as: float types and types with an integer view as they are, all
 * others (IQ1_S, IQ1_M, TQ1_0, NVFP4) expanded to Q8_0.
 */
export function packedType(type: TensorType): TensorType {
  return isIntegerType(type) || type === "F32" || type === "F16" || type === "BF16" ? type : "Q8_0";
}
