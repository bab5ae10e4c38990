import { rowBytes } from "../../bytes/types.ts";
import type { MatrixWeight } from "../../plan/plan.ts";
import { packedType } from "../device.ts";
import { fileBytes } from "../weights.ts";
import { loadState } from "./addon.ts";
import type { Loading } from "./loading.ts";

/** Bytes of a piece: between reading and packing it stays in a core's second-level cache. */
const pieceBytes = 512 * 1024;
/** Time between two looks at how far the threads are. */
const reportMs = 50;

/** Reading that goes on by itself. */
export interface Reading {
  /** All is read and packed, or was stopped: true. False where a read failed; what is done then is not known. */
  readonly ended: Promise<boolean>;
  /** Ends it soon. */
  readonly stop: () => void;
}

/** Whether a matrix lies in open files in the very form that it is packed from. */
export function isReadDirectly({ type, parts }: MatrixWeight): boolean {
  return packedType(type) === type && parts.every(({ source }) => source.descriptor !== undefined);
}

/** Rows that are read and packed together. */
interface Piece {
  readonly index: number;
  readonly expert: number;
  readonly first: number;
  readonly rows: number;
  /** Descriptor, offset and length of each part of a file that they lie in. */
  readonly ranges: readonly (readonly [descriptor: number, offset: number, bytes: number])[];
}

/**
 * Has the kernels' threads read and pack matrices.
 *
 * @param advance  told now and then how many more bytes of the file are done
 */
export function startReading(
  matrices: readonly (readonly [index: number, weight: MatrixWeight])[],
  { addon, program, group, threads }: Loading,
  advance?: (bytes: number) => void,
): Reading {
  if (matrices.length === 0) return { ended: Promise.resolve(true), stop: () => {} };
  const pieces = matrices.flatMap(([index, weight]) => piecesOf(index, weight, group));
  // In the order of the file, as a disk likes it.
  pieces.sort((a, b) => a.ranges[0][0] - b.ranges[0][0] || a.ranges[0][1] - b.ranges[0][1]);
  const fields = pieces.flatMap(({ index, expert, first, rows, ranges }) => [
    ...[index, expert, first, rows, ranges.length],
    ...ranges.flat(),
  ]);
  const state = new Int32Array(loadState.words);
  const bytes = matrices.reduce((sum, [, weight]) => sum + fileBytes(weight), 0);
  let reported = 0;
  const report = () => {
    // Pieces are about as large as one another.
    const done = Math.floor((Atomics.load(state, loadState.done) / pieces.length) * bytes);
    if (done > reported) advance?.(done - reported);
    reported = done;
  };
  const timer = advance && setInterval(report, reportMs);
  const ended = addon.load(program, Float64Array.from(fields), threads, state).then(() => {
    clearInterval(timer);
    report();
    return Atomics.load(state, loadState.failed) === 0;
  });
  return { ended, stop: () => Atomics.store(state, loadState.stopped, 1) };
}

function piecesOf(
  index: number,
  { type, width, rows, experts, parts }: MatrixWeight,
  group: number,
): Piece[] {
  const row = rowBytes(type, width);
  const most = Math.max(1, Math.floor(pieceBytes / row / group)) * group;
  const pieces: Piece[] = [];
  for (let expert = 0; expert < experts; expert++) {
    for (let first = 0; first < rows; first += most) {
      const count = Math.min(most, rows - first);
      const start = (expert * rows + first) * row;
      pieces.push({ index, expert, first, rows: count, ranges: rangesOf(parts, start, count * row) });
    }
  }
  return pieces;
}

/** Where `length` bytes from `start` on lie, of tensors taken as one, end to end. */
function rangesOf(parts: MatrixWeight["parts"], start: number, length: number): Piece["ranges"] {
  const ranges: [number, number, number][] = [];
  let partStart = 0;
  for (const { source, offset, bytes } of parts) {
    const from = Math.max(start, partStart);
    const to = Math.min(start + length, partStart + bytes);
    if (from < to) ranges.push([source.descriptor!, offset + from - partStart, to - from]);
    partStart += bytes;
  }
  return ranges;
}
