/** What a worker is started with. */
export interface WorkerStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Its number, from 0. */
  readonly thread: number;
  /** Indices into the memory as i32: the kind of a job, its value for ending, and the sign of failure. */
  readonly kindWord: number;
  readonly endKind: number;
  readonly failedWord: number;
  /** Whether to tell of each job's end; else the main thread waits for a word of the memory to change. */
  readonly announce: boolean;
}

/** What a worker tells the main thread. */
export type WorkerMessage = { readonly done: true } | { readonly failed: string };

/**
 * The life of a compute thread: waits for jobs and does its share until told to end.
 *
 * Its source text is what workers are started with (no file of their own, so that bundles need no setting),
 * therefore it uses nothing from outside itself, and no function that is given a name by an assignment:
 * bundlers that keep names (esbuild's keepNames) wrap those in a helper of theirs.
 *
 * @param tell  sends a message to the main thread
 */
export function workerMain(start: WorkerStart, tell: (message: WorkerMessage) => void): void {
  const flags = new Int32Array(start.memory.buffer);
  try {
    const env = {
      memory: start.memory,
      abort() {
        throw new Error("abort");
      },
    };
    const instance = new WebAssembly.Instance(start.module, { env });
    const { awaitJob, work } = instance.exports as {
      awaitJob: (seen: number) => number;
      work: (thread: number) => number;
    };
    for (let job = awaitJob(0); flags[start.kindWord] !== start.endKind; job = awaitJob(job)) {
      const finished = work(start.thread) === 1;
      if (finished && start.announce) tell({ done: true });
    }
  } catch (error) {
    // Others at a barrier look at this word and stop, too.
    Atomics.store(flags, start.failedWord, 1);
    tell({ failed: String(error) });
  }
}
