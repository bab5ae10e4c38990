import { beforeAll, describe, expect, test } from "vitest";
import { type Gguf, openGguf } from "../../src/bytes/gguf.ts";
import { openFile } from "../../src/bytes/node-file.ts";
import { reference } from "../../src/devices/reference/device.ts";
import { buildGraph } from "../../src/models/architecture.ts";
import { architectures } from "../../src/models/index.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { makePlan, pageBytes } from "../../src/plan/planner.ts";
import { common, f32RowBytes, ops, q8RowBytes, rowsOf, tapeWords } from "../../src/plan/tape.ts";
import { type GoldenModel, goldenModels, storiesPath, syntheticFile } from "../support/golden.ts";

const limits = { tokens: 64, wanted: 2, sequences: 2, pagesPerSequence: 4 };

async function planOf(path: string): Promise<Plan> {
  const source = await openFile(path);
  const gguf: Gguf = await openGguf(source);
  await source.close();
  const graph = await buildGraph(gguf, architectures);
  const { packedType, packedRowBytes } = reference;
  return makePlan(graph, { mode: "fast", kvType: "f16", pages: 8, limits, packedType, packedRowBytes });
}

const opNames = new Map(Object.entries(ops).map(([name, { id }]) => [id as number, name]));

/** `operation shapes` for each call. */
function lines(plan: Plan): string[] {
  return plan.notes.map((note, i) => `${opNames.get(plan.tape[i * tapeWords])} ${note}`);
}

/** The lines from the first that begins so, `count` of them. */
function excerpt(plan: Plan, first: number, count: number): string[] {
  return lines(plan).slice(first, first + count);
}

const golden = (arch: string, type: string): GoldenModel =>
  goldenModels.find((one) => one.arch === arch && one.type === type)!;

describe("plan of clavis-stories (llama)", () => {
  let plan: Plan;
  beforeAll(async () => {
    plan = await planOf(storiesPath);
  });

  test("a layer: joined q/k/v and gate/up, norms that quantise, residuals in the products", () => {
    expect(excerpt(plan, 2, 12)).toEqual([
      "rmsNorm [T, 256] → [T, 256] q8",
      "matmul [T, 256] · [512, 256] → [T, 512]",
      "rope [T, 4, 64], [T, 64] → [T, 256]",
      "rope [T, 2, 64], [T, 64] → [T, 128]",
      "kvStore [T, 2, 64], [T, 2, 64] → layer 0",
      "attention [T, 4, 64], layer 0 → [T, 256]",
      "quantize [T, 256] → [T, 256] q8",
      "matmul [T, 256] · [256, 256] + [T, 256] → [T, 256]",
      "rmsNorm [T, 256] → [T, 256] q8",
      "matmul [T, 256] · [1536, 256] → [T, 1536]",
      "gated [T, 768], [T, 768] → [T, 768] q8",
      "matmul [T, 768] · [256, 768] + [T, 256] → [T, 256]",
    ]);
  });

  test("behind the last attention only wanted rows are computed", () => {
    expect(lines(plan).slice(-10)).toEqual([
      "gatherRows [T, 256] → [R, 256]",
      "gatherRows [T, 256] → [R, 256]",
      "quantize [R, 256] → [R, 256] q8",
      "matmul [R, 256] · [256, 256] + [R, 256] → [R, 256]",
      "rmsNorm [R, 256] → [R, 256] q8",
      "matmul [R, 256] · [1536, 256] → [R, 1536]",
      "gated [R, 768], [R, 768] → [R, 768] q8",
      "matmul [R, 768] · [256, 768] + [R, 256] → [R, 256]",
      "rmsNorm [R, 256] → [R, 256] q8",
      "matmul [R, 256] · [4096, 256] → [R, 4096]",
    ]);
  });

  test("the embedding that is also the head is one weight, read and multiplied", () => {
    const shared = plan.weights.filter((weight) => weight.name === "token_embd.weight");
    expect(shared).toMatchObject([{ kind: "matrix", gathered: true, multiplied: true }]);
  });

  test("reads each weight once: all matrices, and one row of the embedding", () => {
    const matrices = plan.weights.filter((weight) => weight.kind === "matrix");
    const bytes = matrices.flatMap((weight) => weight.parts).reduce((sum, part) => sum + part.bytes, 0);
    const embeddingRow = (256 / 32) * 34;
    expect(plan.readsBytes.reduce((sum, one) => sum + one, 0)).toBe(bytes + embeddingRow);
  });

  test("memory: the arena is far smaller than all its buffers end to end", () => {
    const words = (i: number) => plan.tape.subarray(i * tapeWords, (i + 1) * tapeWords);
    let apart = 0;
    for (let i = 0; i < plan.notes.length; i++) {
      const rows = words(i)[common.rows] === rowsOf.wanted ? limits.wanted : limits.tokens;
      apart += words(i)[common.outStride] * rows;
    }
    expect(plan.arenaBytes).toBeLessThan(apart / 5);
  });
});

describe("plans of other architectures", () => {
  test("qwen3moe: the norm stays f32 for the router and is quantised once for the experts", async () => {
    const plan = await planOf(await syntheticFile(golden("qwen3moe", "q4_k")));
    const start = lines(plan).findIndex((line) => line.startsWith("route"));
    expect(excerpt(plan, start - 2, 9)).toEqual([
      "rmsNorm [T, 256] → [T, 256]",
      "matmul [T, 256] · [8, 256] → [T, 8]",
      "route [T, 8] → [T, 4]",
      "quantize [T, 256] → [T, 256] q8",
      "expertMatmul [T, 256] · [8, 256, 256], 2 used → [T, 512]",
      "expertMatmul [T, 256] · [8, 256, 256], 2 used → [T, 512]",
      "gated [T, 2, 256], [T, 2, 256] → [T, 512] q8",
      "expertMatmul [T, 2, 256] · [8, 256, 256], 2 used → [T, 512]",
      "expertSum [T, 2, 256], [T, 4] → [T, 256]",
    ]);
  });

  test("gemma3: two tables of angles, a window on the first layers", async () => {
    const plan = await planOf(await syntheticFile(golden("gemma3", "q4_k")));
    expect(lines(plan).filter((line) => line.startsWith("attention"))).toEqual([
      "attention [T, 4, 64], layer 0, window 64 → [T, 256]",
      "attention [T, 4, 64], layer 1, window 64 → [T, 256]",
    ]);
  });

  test("float weights read activations as they are: nothing is quantised", async () => {
    const plan = await planOf(await syntheticFile(golden("llama", "f32")));
    expect(lines(plan).filter((line) => line.includes("q8"))).toEqual([]);
  });
});

test("row sizes: multiples of 64 that hold codes, scales and sums", () => {
  expect([32, 64, 256, 896].map(q8RowBytes)).toEqual([64, 128, 384, 1280]);
  expect([1, 16, 17, 4096].map(f32RowBytes)).toEqual([64, 64, 128, 16384]);
});

test("page sizes: f16 two bytes a value, q8 a byte and a scale per 32", () => {
  const shape = { layers: 2, kvHeads: 2, headWidth: 64 };
  expect(pageBytes({ ...shape, type: "f16" })).toBe(2 * 2 * 2 * 64 * 32 * 2);
  expect(pageBytes({ ...shape, type: "q8" })).toBe(2 * 2 * 2 * 64 * 32 * (1 + 4 / 32));
});
