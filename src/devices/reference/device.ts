import { dequantize } from "../../bytes/dequantize.ts";
import type { Tensor } from "../../bytes/gguf.ts";
import { quantizeQ8_0 } from "../../bytes/integer-blocks.ts";
import { read } from "../../bytes/source.ts";
import { rowBytes } from "../../bytes/types.ts";
import type { MatrixWeight, Plan, Weight } from "../../plan/plan.ts";
import { tapeWords } from "../../plan/tape.ts";
import { type Device, type Program, type ProgramOptions, packedType } from "../device.ts";
import { closedError } from "../errors.ts";
import { Cache } from "./cache.ts";
import { type Held, Interpreter } from "./interpreter.ts";

/** The numerics contract as a device: plain TypeScript, one value at a time, slow and exact. */
export const reference: Device = {
  name: "reference",
  // Few, since nothing is gained by more, and a step keeps the thread from everything else.
  stepTokens: 8,
  async describe() {
    return { name: "reference", available: true, kernels: "plain TypeScript", threads: 1 };
  },
  packedType,
  kernelNames: (plan) => Array.from({ length: plan.tape.length / tapeWords }, () => "reference"),
  program,
};

async function program(plan: Plan, options: ProgramOptions = {}): Promise<Program> {
  const all = plan.weights.reduce((sum, weight) => sum + sourceBytes(weight), 0);
  let done = 0;
  const held: Held[] = [];
  for (const weight of plan.weights) {
    options.signal?.throwIfAborted();
    held.push(await hold(weight));
    done += sourceBytes(weight);
    options.progress?.(done, all);
  }
  const cache = new Cache(plan.cache);
  let interpreter: Interpreter | undefined = new Interpreter(plan, held, cache);
  return {
    memoryBytes: all + plan.arenaBytes + cache.bytes,
    threads: 1,
    async run(batch) {
      if (!interpreter) throw closedError();
      // Timers, signals and input get a turn between steps.
      await new Promise((resolve) => setTimeout(resolve));
      return interpreter.run(batch);
    },
    async close() {
      interpreter = undefined;
    },
  };
}

function sourceBytes(weight: Weight): number {
  return weight.kind === "frequencies" ? 0 : weight.parts.reduce((sum, part) => sum + part.bytes, 0);
}

async function hold(weight: Weight): Promise<Held> {
  switch (weight.kind) {
    case "frequencies":
      return { frequencies: weight.values };
    case "vector": {
      const vector = new Float32Array(weight.length);
      let at = 0;
      for (const part of weight.parts) {
        dequantize(part.type, await bytesOf(part), vector.subarray(at, at + part.values));
        at += part.values;
      }
      return { vector };
    }
    case "matrix":
      return { matrix: await holdMatrix(weight) };
  }
}

async function holdMatrix(weight: MatrixWeight) {
  const { rows, width, experts } = weight;
  const type = packedType(weight.type);
  const bytes = new Uint8Array(rowBytes(type, width) * rows * experts);
  let at = 0;
  for (const part of weight.parts) {
    const packed = type === part.type ? await bytesOf(part) : await expanded(part);
    bytes.set(packed, at);
    at += packed.length;
  }
  return { type, bytes, rows: rows * experts, width };
}

/** A tensor of a type that no kernel computes with, as Q8_0. */
async function expanded(tensor: Tensor): Promise<Uint8Array> {
  const values = new Float32Array(tensor.values);
  dequantize(tensor.type, await bytesOf(tensor), values);
  return quantizeQ8_0(values);
}

function bytesOf(tensor: Tensor): Promise<Uint8Array> {
  return read(tensor.source, tensor.offset, tensor.bytes);
}
