import { rowBytes } from "../../bytes/types.ts";
import type { Plan, Weight } from "../../plan/plan.ts";
import { tapeWords } from "../../plan/tape.ts";
import { batchCheck } from "../check-batch.ts";
import { type Device, type Program, type ProgramOptions, packedType } from "../device.ts";
import { busy, closedError } from "../errors.ts";
import { fileBytes, readRows, readVector } from "../weights.ts";
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
  packedRowBytes: (type, width) => rowBytes(packedType(type), width),
  kernelNames: (plan) => Array.from({ length: plan.tape.length / tapeWords }, () => "reference"),
  program,
};

async function program(plan: Plan, options: ProgramOptions = {}): Promise<Program> {
  const all = plan.weights.reduce((sum, weight) => sum + fileBytes(weight), 0);
  let done = 0;
  const held: Held[] = [];
  for (const weight of plan.weights) {
    options.signal?.throwIfAborted();
    held.push(await hold(weight));
    done += fileBytes(weight);
    options.progress?.(done, all);
  }
  const cache = new Cache(plan.cache);
  const check = batchCheck(plan);
  let interpreter: Interpreter | undefined = new Interpreter(plan, held, cache);
  let running = false;
  return {
    memoryBytes: all + plan.arenaBytes + cache.bytes,
    threads: 1,
    async run(batch) {
      if (!interpreter) throw closedError();
      if (running) throw busy();
      check(batch);
      const current = interpreter;
      running = true;
      // Timers, signals and input get a turn between steps.
      await new Promise((resolve) => setTimeout(resolve));
      running = false;
      return current.run(batch);
    },
    async close() {
      interpreter = undefined;
    },
  };
}

async function hold(weight: Weight): Promise<Held> {
  switch (weight.kind) {
    case "frequencies":
      return { frequencies: weight.values };
    case "vector":
      return { vector: await readVector(weight) };
    case "matrix": {
      const type = packedType(weight.type);
      const rows = weight.rows * weight.experts;
      const bytes = new Uint8Array(rowBytes(type, weight.width) * rows);
      await readRows(weight, 0, bytes);
      return { matrix: { type, bytes, rows, width: weight.width } };
    }
  }
}
