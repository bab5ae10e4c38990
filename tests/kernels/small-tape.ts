import { expect } from "vitest";
import { bufferSource } from "../../src/bytes/source.ts";
import { rowBytes, type TensorType, tensorTypes } from "../../src/bytes/types.ts";
import type { Batch, Device } from "../../src/devices/device.ts";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { reference } from "../../src/devices/reference/device.ts";
import { wasmDevice } from "../../src/devices/wasm/device.ts";
import { nodePlatform } from "../../src/devices/wasm/node-platform.ts";
import type { CacheShape, MatrixWeight, Plan, Weight } from "../../src/plan/plan.ts";
import {
  common,
  f32RowBytes,
  floatBits,
  type OpName,
  ops,
  q8RowBytes,
  tapeWords,
} from "../../src/plan/tape.ts";
import { levels } from "../support/native.ts";

// Tapes of a few calls, made by hand, run on several devices and compared by bits. Inputs come from matrices
// that `embed` reads: token t of a step takes row t of each.

/** Numbers that repeat with the seed, from −1 to 1. */
export function noise(seed: number): () => number {
  let state = (seed * 2654435761 + 88675123) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 31 - 1;
  };
}

/** f32 values of many magnitudes, with zeros of both signs among them. */
export function values(count: number, seed: number, scale = 1): Float32Array {
  const next = noise(seed);
  return Float32Array.from({ length: count }, (_, i) => {
    if (i % 13 === 5) return i % 2 ? -0 : 0;
    return next() * scale * (i % 7 === 3 ? 1e-3 : i % 11 === 2 ? 8 : 1);
  });
}

/** A region of the arena: rows of f32, or of q8. */
export interface Region {
  readonly offset: number;
  readonly stride: number;
  readonly width: number;
}

/** Puts a plan together, call by call. */
export class SmallTape {
  readonly #calls: Int32Array[] = [];
  readonly #weights: Weight[] = [];
  readonly #rows: number;
  #arenaBytes = 0;

  /** @param rows  the most rows that any region needs */
  constructor(rows: number) {
    this.#rows = rows;
  }

  region(width: number, form: "f32" | "q8" = "f32", rows = this.#rows): Region {
    const stride = form === "f32" ? f32RowBytes(width) : q8RowBytes(width);
    const offset = this.#arenaBytes;
    // A row between regions, so that a write past the end of one is seen in none.
    this.#arenaBytes += stride * (rows + 1);
    return { offset, stride, width };
  }

  call(
    op: OpName,
    places: { out?: Region; a?: Region; b?: Region; rows?: 0 | 1 },
    words: Record<string, number>,
  ): void {
    const call = new Int32Array(tapeWords);
    call[common.op] = ops[op].id;
    call[common.rows] = places.rows ?? 0;
    for (const [name, strideName] of [
      ["out", "outStride"],
      ["a", "aStride"],
      ["b", "bStride"],
    ] as const) {
      call[common[name]] = places[name]?.offset ?? -1;
      call[common[strideName]] = places[name]?.stride ?? 0;
    }
    const names: readonly string[] = ops[op].words;
    expect(Object.keys(words).sort(), `words of ${op}`).toEqual([...names].sort());
    names.forEach((name, i) => {
      call[8 + i] = name.endsWith("Bits") ? floatBits(words[name]) : words[name];
    });
    this.#calls.push(call);
  }

  matrix(type: TensorType, rows: number, width: number, bytes: Uint8Array, experts = 1): number {
    const name = `matrix ${this.#weights.length}`;
    const tensor = {
      ...{
        name,
        type,
        shape: [width, rows * experts],
        values: rows * width * experts,
        bytes: bytes.length,
        offset: 0,
      },
      source: bufferSource(bytes),
    };
    const weight: MatrixWeight = {
      ...{
        kind: "matrix",
        name,
        type,
        rows,
        width,
        experts,
        parts: [tensor],
        gathered: true,
        multiplied: true,
      },
    };
    expect(bytes.length).toBe(rowBytes(type, width) * rows * experts);
    return this.#weights.push(weight) - 1;
  }

  f32Matrix(rows: number, width: number, data: Float32Array, experts = 1): number {
    return this.matrix("F32", rows, width, new Uint8Array(data.buffer), experts);
  }

  /** A Q8_0 matrix of random codes and scales. */
  q8Matrix(rows: number, width: number, seed: number, experts = 1): number {
    const next = noise(seed);
    const bytes = new Uint8Array(rowBytes("Q8_0", width) * rows * experts).map(() => (next() + 1) * 128);
    // The high byte of each scale, so that scales are ordinary numbers near 0.1.
    for (let at = 1; at < bytes.length; at += tensorTypes.Q8_0.bytes) bytes[at] = 0x2c + (bytes[at] & 3);
    return this.matrix("Q8_0", rows, width, bytes, experts);
  }

  vector(data: Float32Array): number {
    const name = `vector ${this.#weights.length}`;
    const source = bufferSource(new Uint8Array(data.buffer));
    const tensor = {
      name,
      type: "F32",
      shape: [data.length],
      values: data.length,
      bytes: data.length * 4,
    } as const;
    return (
      this.#weights.push({
        kind: "vector",
        name,
        length: data.length,
        parts: [{ ...tensor, offset: 0, source }],
      }) - 1
    );
  }

  frequencies(data: Float64Array): number {
    return this.#weights.push({ kind: "frequencies", name: "frequencies", values: data }) - 1;
  }

  /** A region filled with these rows: row t for token t. */
  input(width: number, data: Float32Array): Region {
    const region = this.region(width);
    const weight = this.f32Matrix(data.length / width, width, data);
    this.call("embed", { out: region }, { weight, n: width, scaleBits: 1 });
    return region;
  }

  /** The values of a q8 region, made visible by a product with a random matrix. */
  shown(q8: Region, rows?: number): Region {
    const out = this.region(7, "f32", rows);
    const weight = this.q8Matrix(7, q8.width, 99);
    this.call("matmul", { out, a: q8 }, { weight, n: 7, k: q8.width, bias: -1 });
    return out;
  }

  /** The plan whose "logits" are a region. */
  plan(shown: Region, cache: Partial<CacheShape> = {}, sequences = 1, pagesPerSequence = 8): Plan {
    const tape = new Int32Array(this.#calls.length * tapeWords);
    this.#calls.forEach((call, i) => {
      tape.set(call, i * tapeWords);
    });
    return {
      tape,
      weights: this.#weights,
      cache: { layers: 1, kvHeads: 1, headWidth: 32, type: "f16", pages: 1, ...cache },
      limits: { tokens: this.#rows, wanted: this.#rows, sequences, pagesPerSequence },
      mode: "reproducible",
      vocabulary: shown.width,
      arenaBytes: this.#arenaBytes,
      logits: shown.offset,
      logitsStride: shown.stride,
      notes: [],
      readsBytes: [],
    };
  }
}

/** A step of tokens 0…rows−1 in one sequence from `position` on, all rows wanted. */
export function stepOf(rows: number, position = 0): Batch {
  const tokens = Int32Array.from({ length: rows }, (_, t) => t);
  return {
    tokens,
    positions: tokens.map((t) => position + t),
    slots: new Int32Array(rows),
    pageTables: [new Int32Array(8)],
    wanted: tokens,
  };
}

type NamedDevice = readonly [name: string, device: Device];

/** The ways that the wasm device computes: both builds, without workers and with up to four. */
export const wasmDevices: readonly NamedDevice[] = (
  [
    ["relaxed", [0, 1, 2, 3, 4]],
    ["simd", [0, 3]],
  ] as const
).flatMap(([kernels, counts]) =>
  counts.map(
    (threads): NamedDevice => [
      `wasm, ${kernels}, ${threads} workers`,
      wasmDevice(nodePlatform, { kernels, threads }),
    ],
  ),
);

/** The ways that the native device computes: every level of instructions that is here, one to four threads. */
const nativeDevices: readonly NamedDevice[] = levels.flatMap((level) =>
  [1, 2, 3, 4].map(
    (threads): NamedDevice => [`native, ${level}, ${threads} threads`, nativeDevice({ level, threads })],
  ),
);

export const allDevices = [...wasmDevices, ...nativeDevices];

/** Starting workers takes a while: most operations are compared on one thread. */
export const aloneDevices = allDevices.filter(([name]) => / (0 workers|1 threads)$/.test(name));

/** Runs the steps one after another on the reference and on the devices, and compares all outputs by bits. */
export async function expectSameBits(
  plan: Plan,
  steps: readonly Batch[],
  devices: readonly NamedDevice[] = aloneDevices,
): Promise<void> {
  const want = await outputs(reference, plan, steps);
  for (const [name, device] of devices) {
    const got = await outputs(device, plan, steps);
    want.forEach((row, step) => {
      expect(firstDifference(got[step], row), `${name}, step ${step}`).toBe("");
    });
  }
}

async function outputs(device: Device, plan: Plan, steps: readonly Batch[]): Promise<Float32Array[]> {
  const program = await device.program(plan);
  const all: Float32Array[] = [];
  try {
    for (const step of steps) all.push((await program.run(step)).slice());
  } finally {
    await program.close();
  }
  return all;
}

/** The first value whose bits differ, in words; NaNs count as equal. */
export function firstDifference(got: Float32Array, want: Float32Array): string {
  if (got.length !== want.length) return `${got.length} values, want ${want.length}`;
  for (let i = 0; i < want.length; i++) {
    if (!Object.is(got[i], want[i])) return `value ${i}: got ${got[i]}, want ${want[i]}`;
  }
  return "";
}
