import { tensorTypes } from "../../bytes/types.ts";
import { ClavisError } from "../../errors.ts";
import type { Plan } from "../../plan/plan.ts";
import { batchCheck } from "../check-batch.ts";
import { type Batch, type Program, type ProgramOptions, packedType } from "../device.ts";
import { busy, closedError, noMemory, q8HeadWidth } from "../errors.ts";
import { type Addon, type NativeProgram, weightKinds } from "./addon.ts";
import { failed, notPacked } from "./errors.ts";
import { loadWeights } from "./load.ts";

/** The kernels of a program, and with how many threads. */
export interface Setup {
  readonly addon: Addon;
  /** Instructions to stay below; undefined for the best there are. */
  readonly level: string | undefined;
  readonly threads: number;
}

/** Makes room and loads the weights. */
export async function startProgram(plan: Plan, setup: Setup, options: ProgramOptions): Promise<Program> {
  const program = new RunningProgram(plan, setup);
  try {
    await program.load(options);
  } catch (error) {
    await program.close();
    throw error;
  }
  return program;
}

class RunningProgram implements Program {
  readonly memoryBytes: number;
  readonly threads: number;
  readonly #plan: Plan;
  readonly #addon: Addon;
  readonly #level: string | undefined;
  readonly #check: (batch: Batch) => void;
  #native: NativeProgram | undefined;
  #logits: Float32Array;
  #step: Promise<void> | undefined;

  constructor(plan: Plan, { addon, level, threads }: Setup) {
    const { tape, cache, limits, arenaBytes, logits, logitsStride, vocabulary } = plan;
    if (cache.type === "q8" && cache.headWidth % 32 !== 0) throw q8HeadWidth(cache.headWidth);
    this.#plan = plan;
    this.#addon = addon;
    this.#level = level;
    this.#check = batchCheck(plan);
    try {
      this.#native = addon.open({
        ...{ level, threads, tape, arenaBytes, logits, logitsStride, vocabulary },
        weights: weightFields(plan, addon, level),
        layers: cache.layers,
        kvHeads: cache.kvHeads,
        headWidth: cache.headWidth,
        pages: cache.pages,
        quantized: cache.type === "q8" ? 1 : 0,
        tokens: limits.tokens,
        pagesPerSequence: limits.pagesPerSequence,
        wanted: limits.wanted,
        fast: plan.mode === "fast" ? 1 : 0,
      });
    } catch (error) {
      throw error instanceof ClavisError ? error : refused(plan, error);
    }
    this.memoryBytes = addon.bytes(this.#native);
    this.threads = addon.threads(this.#native);
    this.#logits = new Float32Array(limits.wanted * vocabulary);
  }

  async load(options: ProgramOptions): Promise<void> {
    const { group } = this.#addon.describe(this.#level);
    const loading = { addon: this.#addon, program: this.#native!, group, threads: this.threads };
    await loadWeights(this.#plan, loading, options);
  }

  async run(batch: Batch): Promise<Float32Array> {
    if (!this.#native) throw closedError();
    if (this.#step) throw busy();
    this.#check(batch);
    const { tokens, positions, slots, wanted, pageTables } = batch;
    const { pagesPerSequence } = this.#plan.limits;
    const tables = new Int32Array(pageTables.length * pagesPerSequence);
    pageTables.forEach((table, s) => {
      tables.set(table, s * pagesPerSequence);
    });
    try {
      this.#step = this.#addon.run(this.#native, tokens, positions, slots, tables, wanted, this.#logits);
      await this.#step;
    } catch (error) {
      throw failed(error);
    } finally {
      this.#step = undefined;
    }
    return this.#logits.subarray(0, wanted.length * this.#plan.vocabulary);
  }

  async close(): Promise<void> {
    const native = this.#native;
    if (!native) return;
    this.#native = undefined;
    // A step under way keeps the memory until it is done.
    await this.#step?.catch(() => {});
    this.#addon.close(native);
    this.#logits = new Float32Array(0);
  }
}

/** The addon's refusal to make room, in words. */
function refused(plan: Plan, cause: unknown): ClavisError {
  return cause instanceof Error && cause.message === "memory"
    ? noMemory(bytesOf(plan), cause)
    : failed(cause);
}

/** What the addon needs to know of each weight. */
function weightFields({ weights }: Plan, addon: Addon, level: string | undefined): Float64Array {
  const fields = weights.flatMap((weight) => {
    if (weight.kind === "vector") return [weightKinds.vector, 0, 1, weight.length, 1];
    if (weight.kind === "frequencies") return [weightKinds.frequencies, 0, 1, weight.values.length, 1];
    const type = packedType(weight.type);
    const format = tensorTypes[type].id;
    if (addon.packedBytes(level, format, weight.rows, weight.width) === 0) throw notPacked(weight.name, type);
    return [weightKinds.matrix, format, weight.rows, weight.width, weight.experts];
  });
  return Float64Array.from(fields);
}

/** Bytes of the largest parts, for a message. */
function bytesOf({ weights, arenaBytes }: Plan): number {
  const parts = weights.flatMap((weight) => (weight.kind === "frequencies" ? [] : weight.parts));
  return parts.reduce((sum, part) => sum + part.bytes, arenaBytes);
}
