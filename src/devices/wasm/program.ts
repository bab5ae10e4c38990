import type { Plan } from "../../plan/plan.ts";
import { tapeWords } from "../../plan/tape.ts";
import { batchCheck } from "../check-batch.ts";
import type { Batch, Program, ProgramOptions } from "../device.ts";
import { busy, closedError, noMemory } from "../errors.ts";
import { field, jobs, weightWords, words } from "./control.ts";
import { closedWhileRunning, failed } from "./errors.ts";
import { instantiate, type Kernels } from "./kernels.ts";
import { loadWeights, type PackJob } from "./load.ts";
import { type Layout, layOut } from "./memory.ts";
import type { WasmPlatform, WorkerHandle } from "./platform.ts";

/** ECMAScript 2024; Firefox has had it since 2025 only, so workers can also announce. */
const atomics = Atomics as typeof Atomics & {
  waitAsync?: (
    words: Int32Array,
    index: number,
    value: number,
  ) => { async: true; value: Promise<string> } | { async: false; value: string };
};

/** How a program computes: the compiled kernels, and with how many workers. */
export interface Setup {
  readonly platform: WasmPlatform;
  readonly module: WebAssembly.Module;
  /** Workers over shared memory; 0 computes on the calling thread. */
  readonly workers: number;
}

/** Turns of the waiting loops, as time: between two steps, and at a barrier. */
const idleSpinUs = 100;
const barrierSpinUs = 20;

/** Makes room, starts the workers, and loads the weights. */
export async function startProgram(plan: Plan, setup: Setup, options: ProgramOptions): Promise<Program> {
  const program = new WasmProgram(plan, setup);
  try {
    await program.load(options);
  } catch (error) {
    await program.close();
    throw error;
  }
  return program;
}

class WasmProgram implements Program {
  readonly memoryBytes: number;
  readonly threads: number;
  readonly #plan: Plan;
  readonly #layout: Layout;
  readonly #check: (batch: Batch) => void;
  #memory: WebAssembly.Memory | undefined;
  #ints: Int32Array;
  #kernels: Kernels | undefined;
  #workers: WorkerHandle[] = [];
  #job = 0;
  #failure: string | undefined;
  /** Ends the wait for the job at hand. */
  #endJob: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(plan: Plan, { platform, module, workers }: Setup) {
    this.#plan = plan;
    this.threads = Math.max(1, workers);
    const shared = workers > 0;
    // The sizes of packed weights come from the kernels, which need some memory to be asked.
    const sizing = instantiate(module, new WebAssembly.Memory({ initial: 2, maximum: 2, shared }));
    this.#layout = layOut(plan, this.threads, sizing);
    this.memoryBytes = this.#layout.bytes;
    this.#check = batchCheck(plan);
    const pages = this.#layout.bytes / 65536;
    try {
      this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
    } catch (error) {
      throw noMemory(this.#layout.bytes, error);
    }
    this.#ints = new Int32Array(this.#memory.buffer);
    this.#kernels = instantiate(module, this.#memory);
    this.#writeProgram();
    for (let thread = 0; thread < workers; thread++) {
      const memory = this.#memory;
      const [kindWord, endKind, failedWord] = [field.jobKind, jobs.end, words.failed];
      const announce = atomics.waitAsync === undefined;
      const worker = platform.startWorker({
        ...{ module, memory, thread, kindWord, endKind, failedWord, announce },
      });
      worker.onMessage((message) => {
        if ("done" in message) this.#endJob?.resolve();
        else this.#fail(message.failed);
      });
      this.#workers.push(worker);
    }
  }

  async load(options: ProgramOptions): Promise<void> {
    const pack = async (job: PackJob) => {
      const ints = this.#ints;
      ints[field.jobKind] = jobs.pack;
      ints[field.packFormat] = job.format;
      ints[field.packSource] = job.source;
      ints[field.packTarget] = job.target;
      ints[field.packRows] = job.rows;
      ints[field.packWidth] = job.width;
      ints[field.packSourceRowBytes] = job.rowBytes;
      await this.#perform();
    };
    const kernels = this.#kernels!;
    const packedBytes = (...args: [number, number, number]) => kernels.packedBytes(...args) >>> 0;
    await loadWeights(this.#plan, this.#layout, this.#memory!, pack, packedBytes, options);
  }

  async run(batch: Batch): Promise<Float32Array> {
    if (!this.#memory) throw closedError();
    if (this.#endJob) throw busy();
    this.#check(batch);
    this.#writeStep(batch);
    this.#ints[field.jobKind] = jobs.step;
    await this.#perform();
    if (!this.#memory) throw closedWhileRunning();
    return this.#logits(batch.wanted.length);
  }

  async close(): Promise<void> {
    this.#endJob?.reject(closedWhileRunning());
    const workers = this.#workers;
    this.#workers = [];
    if (workers.length > 0) this.#endThreads();
    this.#memory = undefined;
    this.#kernels = undefined;
    this.#ints = new Int32Array(0);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  /** Has the threads end of themselves: Chromium takes two seconds to end one that sleeps, and keeps the memory. */
  #endThreads(): void {
    const ints = this.#ints;
    Atomics.store(ints, words.failed, 1);
    Atomics.store(ints, field.jobKind, jobs.end);
    Atomics.store(ints, words.job, (this.#job + 1) | 0);
    Atomics.notify(ints, words.job);
    // A wait for a job that will not end would hold the memory, too.
    Atomics.notify(ints, words.done);
  }

  /** Runs the job in the control block, on the workers or here. */
  async #perform(): Promise<void> {
    if (this.#failure !== undefined) throw failed(this.#failure);
    const ints = this.#ints;
    if (this.#workers.length === 0) {
      try {
        this.#kernels!.work(0);
      } catch (error) {
        this.#failure = String(error);
        throw failed(this.#failure);
      }
      return;
    }
    const before = this.#job;
    this.#job = (this.#job + 1) | 0;
    for (const worker of this.#workers) worker.keepAlive(true);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#endJob = { resolve, reject };
        Atomics.store(ints, words.job, this.#job);
        Atomics.notify(ints, words.job);
        const wait = atomics.waitAsync?.(ints, words.done, before);
        if (wait?.async) wait.value.then(() => resolve());
        else if (wait) resolve();
      });
    } finally {
      this.#endJob = undefined;
      for (const worker of this.#workers) worker.keepAlive(false);
    }
  }

  #fail(what: string): void {
    if (!this.#memory) return; // ended by close()
    this.#failure ??= what;
    Atomics.store(this.#ints, words.failed, 1);
    this.#endJob?.reject(failed(this.#failure));
  }

  #writeProgram(): void {
    const { tape, weights, cache, limits } = this.#plan;
    const layout = this.#layout;
    const ints = this.#ints;
    ints.set(tape, layout.tape / 4);
    weights.forEach((weight, i) => {
      const { address, format, expertBytes } = layout.weights[i];
      const [rows, width, experts] =
        weight.kind === "matrix" ? [weight.rows, weight.width, weight.experts] : [0, 0, 0];
      ints.set(
        [address, format, rows, width, experts, expertBytes],
        layout.weightTable / 4 + i * weightWords,
      );
    });
    const turnUs = this.#turnUs();
    ints[field.threads] = this.threads;
    ints[field.idleSpins] = idleSpinUs / turnUs;
    ints[field.barrierSpins] = barrierSpinUs / turnUs;
    ints[field.tape] = layout.tape;
    ints[field.calls] = tape.length / tapeWords;
    ints[field.weights] = layout.weightTable;
    ints[field.arena] = layout.arena;
    ints[field.scratch] = layout.scratch;
    ints[field.scratchBytes] = layout.scratchBytes;
    ints[field.cache] = layout.cache;
    ints[field.cacheType] = cache.type === "f16" ? 0 : 1;
    ints[field.cacheRowBytes] = layout.cacheRowBytes;
    ints[field.cachePageBytes] = layout.cachePageBytes;
    ints[field.cacheLayerPages] = cache.pages;
    ints[field.pagesPerSequence] = limits.pagesPerSequence;
    ints[field.tokens] = layout.tokens;
    ints[field.positions] = layout.positions;
    ints[field.slots] = layout.slots;
    ints[field.wanted] = layout.wanted;
    ints[field.pageTables] = layout.pageTables;
  }

  /** Microseconds that one turn of the waiting loop takes, about. */
  #turnUs(): number {
    const turns = 100_000;
    const start = performance.now();
    this.#kernels!.spin(turns);
    return Math.max(1e-4, ((performance.now() - start) * 1000) / turns);
  }

  #writeStep({ tokens, positions, slots, wanted, pageTables }: Batch): void {
    const { limits } = this.#plan;
    const layout = this.#layout;
    const ints = this.#ints;
    ints.set(tokens, layout.tokens / 4);
    ints.set(positions, layout.positions / 4);
    ints.set(slots, layout.slots / 4);
    ints.set(wanted, layout.wanted / 4);
    pageTables.forEach((table, s) => {
      ints.set(table, layout.pageTables / 4 + s * limits.pagesPerSequence);
    });
    ints[field.tokenCount] = tokens.length;
    ints[field.wantedCount] = wanted.length;
  }

  /** The logits, row after row, in the arena itself where they lie so. */
  #logits(rows: number): Float32Array {
    const { logits, logitsStride, vocabulary } = this.#plan;
    const { buffer } = this.#memory!;
    const start = this.#layout.arena + logits;
    if (rows <= 1 || logitsStride === vocabulary * 4)
      return new Float32Array(buffer, start, rows * vocabulary);
    const result = new Float32Array(rows * vocabulary);
    for (let r = 0; r < rows; r++) {
      result.set(new Float32Array(buffer, start + r * logitsStride, vocabulary), r * vocabulary);
    }
    return result;
  }
}
