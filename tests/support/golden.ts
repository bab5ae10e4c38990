import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { openGguf } from "../../src/bytes/gguf.ts";
import { openFile } from "../../src/bytes/node-file.ts";
import type { Device, Program, ProgramOptions } from "../../src/devices/device.ts";
import { buildGraph } from "../../src/models/architecture.ts";
import { architectures } from "../../src/models/index.ts";
import { pagePositions } from "../../src/plan/plan.ts";
import { makePlan, type PlanOptions } from "../../src/plan/planner.ts";
import { root } from "./shared.ts";
import { type Architecture, architectures as everyArchitecture, synthesizeTo } from "./synthetic.ts";

/** What llama.cpp made of one prompt. */
export interface GoldenCase {
  readonly prompt: readonly number[];
  /** The 20 largest logits: [id, logit]. */
  readonly top: readonly (readonly [number, number])[];
  /** Its greedy continuation of 16 ids. */
  readonly greedy: readonly number[];
}

/** A synthetic model, and what llama.cpp made of it. */
export interface GoldenModel {
  readonly arch: Architecture;
  readonly type: string;
  readonly shape: string;
  readonly vocab: string;
  readonly seed: number;
  readonly cases: readonly GoldenCase[];
}

export const goldenModels = JSON.parse(
  readFileSync(join(root, "tests/golden/synthetic-logits.json"), "utf8"),
) as readonly GoldenModel[];

export const storiesPath = join(root, "models/clavis-stories-q8_0.gguf");

/** The file of a synthetic model; made once, then kept in the temporary folder. */
export async function syntheticFile(
  model: Pick<GoldenModel, "arch" | "type" | "shape" | "seed">,
  vocab = storiesPath,
): Promise<string> {
  const { arch, type, shape, seed } = model;
  const folder = join(tmpdir(), "clavis-synthetic-models");
  mkdirSync(folder, { recursive: true });
  const vocabName = vocab.replace(/.*\//, "").replace(/\.gguf$/, "");
  const path = join(folder, `${arch}-${shape}-${type}-${vocabName}-${seed}.gguf`);
  if (!existsSync(path)) await synthesizeTo(path, { vocab, arch, shape, type, seed });
  return path;
}

/** Paths of clavis-stories and of one synthetic model of each architecture, with integer and float weights. */
export async function oneOfEach(): Promise<string[]> {
  const paths = [storiesPath];
  for (const arch of everyArchitecture) {
    paths.push(await syntheticFile({ arch, type: "q4_k", shape: "tiny", seed: 2 }));
  }
  return paths;
}

/** One sequence running alone on a device, a step at a time, in pages of its own. */
export class Runner {
  readonly #program: Program;
  readonly #pages: Int32Array;
  readonly #limit: number;
  #position = 0;

  private constructor(program: Program, pages: number, limit: number) {
    this.#program = program;
    this.#pages = Int32Array.from({ length: pages }, (_, i) => i);
    this.#limit = limit;
  }

  static async open(
    path: string,
    device: Device,
    options: Partial<Pick<PlanOptions, "mode" | "kvType">> & {
      program?: ProgramOptions;
      context?: number;
    } = {},
  ): Promise<Runner> {
    const { mode = "reproducible", kvType = "f16", context = 256 } = options;
    const source = await openFile(path);
    try {
      const graph = await buildGraph(await openGguf(source), architectures, context);
      const pages = Math.ceil(context / pagePositions);
      const limits = { tokens: 256, wanted: 4, sequences: 1, pagesPerSequence: pages };
      const { packedType, packedRowBytes } = device;
      const plan = makePlan(graph, { mode, kvType, limits, pages, packedType, packedRowBytes });
      return new Runner(await device.program(plan, options.program), pages, limits.tokens);
    } finally {
      await source.close();
    }
  }

  /** Forgets the sequence: the next step begins at position 0. */
  restart(): void {
    this.#position = 0;
  }

  /** Appends ids; a copy of the logits after the last. */
  async step(ids: ArrayLike<number>): Promise<Float32Array> {
    let logits: Float32Array = new Float32Array();
    for (let start = 0; start < ids.length; start += this.#limit) {
      const tokens = Int32Array.from(ids).subarray(start, start + this.#limit);
      logits = await this.#program.run({
        tokens,
        positions: tokens.map((_, i) => this.#position + i),
        slots: new Int32Array(tokens.length),
        pageTables: [this.#pages],
        wanted: Int32Array.of(tokens.length - 1),
      });
      this.#position += tokens.length;
    }
    return logits.slice();
  }

  close(): Promise<void> {
    return this.#program.close();
  }
}

export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

/** The two largest are this near: rounding may decide between them. */
const nearTie = 0.5;

const floatTypes = ["f32", "f16", "bf16"];
const typesOf256 = [
  "q2_k",
  "q3_k",
  "q4_k",
  "q5_k",
  "q6_k",
  "iq2_xxs",
  "iq2_xs",
  "iq2_s",
  "iq3_xxs",
  "iq3_s",
  "iq4_xs",
  "tq1_0",
  "tq2_0",
];

/** How far a logit may lie from llama.cpp's: the rule that comes with the golden logits. */
export function tolerance(arch: string, type: string): number {
  if (floatTypes.includes(type)) return arch.startsWith("gemma") ? 0.1 : 0.05;
  return typesOf256.includes(type) ? 0.6 : 0.3;
}

/** Runs a golden case and compares it by the rule: the shared ids' logits, the first id, the greedy ids. */
export async function expectGolden(runner: Runner, golden: GoldenCase, allowed: number): Promise<void> {
  runner.restart();
  let logits = await runner.step(golden.prompt);
  const ours = [...logits.keys()].sort((a, b) => logits[b] - logits[a]).slice(0, golden.top.length);
  const theirs = new Map(golden.top);
  const apart = ours.filter((id) => theirs.has(id)).map((id) => Math.abs(logits[id] - theirs.get(id)!));
  expect(apart.length, "ids that both top lists share").toBeGreaterThanOrEqual(15);
  expect(Math.max(...apart), "largest difference of a logit").toBeLessThanOrEqual(allowed);
  const mean = apart.reduce((sum, one) => sum + one, 0) / apart.length;
  expect(mean, "mean difference").toBeLessThanOrEqual(0.4 * allowed);
  if (golden.top[0][1] - golden.top[1][1] > nearTie) expect(ours[0], "likeliest id").toBe(golden.top[0][0]);

  for (const [i, id] of golden.greedy.entries()) {
    const best = argmax(logits);
    const second = logits.reduce(
      (most, logit, at) => (at === best ? most : Math.max(most, logit)),
      -Infinity,
    );
    if (logits[best] - second <= nearTie) return;
    expect(best, `greedy id ${i}`).toBe(id);
    logits = await runner.step([best]);
  }
}
