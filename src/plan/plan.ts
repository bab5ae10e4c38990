import type { Tensor } from "../bytes/gguf.ts";
import type { TensorType } from "../bytes/types.ts";

/** How the keys and values of the cache are kept. */
export type KvType = "f16" | "q8";

/** Positions in one page of the cache. */
export const pagePositions = 32;

/** A weight as the tape names it; the device reads, packs and keeps it. */
export type Weight = MatrixWeight | VectorWeight | FrequencyWeight;

/** `experts` matrices of rows × width, of one tensor or of several joined row after row. */
export interface MatrixWeight {
  readonly kind: "matrix";
  readonly name: string;
  readonly type: TensorType;
  readonly rows: number;
  readonly width: number;
  readonly experts: number;
  /** Tensors in order; more than one only where `experts` is 1 (rows one below the other). */
  readonly parts: readonly Tensor[];
  /** Whether `embed` or `addPosition` reads single rows of it. */
  readonly gathered: boolean;
  /** Whether `matmul` or `expertMatmul` multiplies with it. */
  readonly multiplied: boolean;
}

/** f32 values: a norm's weight or a bias, of one tensor or of several end to end. */
export interface VectorWeight {
  readonly kind: "vector";
  readonly name: string;
  readonly length: number;
  readonly parts: readonly Tensor[];
}

/** Radians per position of each rotated pair, f64, computed from the model's parameters. */
export interface FrequencyWeight {
  readonly kind: "frequencies";
  readonly name: string;
  readonly values: Float64Array;
}

/** The shape of the key-value cache. */
export interface CacheShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly type: KvType;
  /** Pages of `pagePositions` positions that all sequences share. */
  readonly pages: number;
}

/** The largest step that the arena has room for. */
export interface StepLimits {
  /** Tokens in one step (prompt chunk plus the other sequences' tokens). */
  readonly tokens: number;
  /** Rows whose logits may be wanted in one step. */
  readonly wanted: number;
  /** Sequences in one step. */
  readonly sequences: number;
  /** Pages that one sequence's table has room for. */
  readonly pagesPerSequence: number;
}

/** What a device runs: the tape, the weights it names, and how much memory it needs. */
export interface Plan {
  readonly tape: Int32Array;
  readonly weights: readonly Weight[];
  readonly cache: CacheShape;
  readonly limits: StepLimits;
  readonly mode: "fast" | "reproducible";
  readonly vocabulary: number;
  /** Arena size in bytes, and where the logits [wanted, vocabulary] f32 lie in it, rows `logitsStride` bytes apart. */
  readonly arenaBytes: number;
  readonly logits: number;
  readonly logitsStride: number;
  /** A line of text per call, for people: operation and shapes. */
  readonly notes: readonly string[];
  /** Bytes of weights, as the device keeps them, that each call reads for one token. */
  readonly readsBytes: readonly number[];
}
