import { describe, expect, test } from "vitest";
import { openGguf } from "../../src/bytes/gguf.ts";
import { openFile } from "../../src/bytes/node-file.ts";
import { reference } from "../../src/devices/reference/device.ts";
import { buildGraph } from "../../src/models/architecture.ts";
import { architectures } from "../../src/models/index.ts";
import { emit } from "../../src/plan/emit.ts";
import type { Layout } from "../../src/plan/memory.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { makePlan, planSteps } from "../../src/plan/planner.ts";
import type { Buffer, Steps } from "../../src/plan/steps.ts";
import { goldenModels, syntheticFile } from "../support/golden.ts";

const tokens = 24;
const limits = { tokens, wanted: 3, sequences: 1, pagesPerSequence: 1 };

/** Every buffer in memory of its own: nothing is shared and nothing is overwritten. */
function apart({ steps }: Steps): Layout {
  const places = new Map<Buffer, { offset: number; stride: number }>();
  let arenaBytes = 0;
  for (const { out } of steps) {
    // More than any form of the row takes, and divisible into rows per expert.
    const stride = Math.ceil((out.width * 4 + 64) / 768) * 768;
    places.set(out, { offset: arenaBytes, stride });
    arenaBytes += stride * tokens;
  }
  return { places, arenaBytes };
}

async function logitsOf(plan: Plan): Promise<Float32Array> {
  const program = await reference.program(plan);
  const logits = await program.run({
    tokens: Int32Array.from({ length: tokens }, (_, i) => (i * 61 + 7) % 4000),
    positions: Int32Array.from({ length: tokens }, (_, i) => i),
    slots: new Int32Array(tokens),
    pageTables: [Int32Array.of(0)],
    wanted: Int32Array.of(3, 10, tokens - 1),
  });
  await program.close();
  return logits;
}

describe("memory layout: reuse changes no bit of the logits, with every row of the arena in use", () => {
  const models = goldenModels.filter((model) => model.type === "f32" || model.type === "q4_k");
  test.each(models)("$arch $type", async (model) => {
    const source = await openFile(await syntheticFile(model));
    const gguf = await openGguf(source);
    const { packedType, packedRowBytes } = reference;
    const shape = { mode: "reproducible", kvType: "f16", pages: 1, limits } as const;
    const options = { ...shape, packedType, packedRowBytes };
    const plan = makePlan(await buildGraph(gguf, architectures), options);
    const steps = planSteps(await buildGraph(gguf, architectures), options);
    const spread: Plan = { ...plan, ...emit(steps, apart(steps), packedRowBytes) };
    expect(spread.arenaBytes).toBeGreaterThan(plan.arenaBytes * 3);
    expect(await logitsOf(plan)).toEqual(await logitsOf(spread));
    await source.close();
  });
});
