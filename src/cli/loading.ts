import type { GenerateOptions, LoadOptions, Model } from "../index.ts";
import { Interrupted } from "./errors.ts";
import type { AnswerFlags, LoadFlags } from "./options.ts";
import { PullDisplay } from "./pull-display.ts";

/**
 * A signal that Ctrl-C aborts with {@link Interrupted}. The second Ctrl-C ends the process at once.
 */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  process.on("SIGINT", () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new Interrupted());
  });
  return controller.signal;
}

/**
 * Loads the model that a command names, downloading it first where it is not here; slow loading shows how far
 * it is on a terminal.
 */
export async function openModel(
  source: string,
  flags: LoadFlags,
  { signal, sequences = 1, logitRows }: { signal?: AbortSignal; sequences?: number; logitRows?: number } = {},
): Promise<Model> {
  const { load } = await import("../index.ts");
  const progress = process.stderr.isTTY ? new Progress("loading") : undefined;
  const display = new PullDisplay();
  try {
    return await load(source, {
      ...loadOptionsOf(flags),
      sequences,
      logitRows,
      signal,
      pull: true,
      onPull: (event) => display.show(event),
      progress: progress && ((done, all) => progress.show(done, all)),
    });
  } finally {
    display.end();
    progress?.clear();
  }
}

/** What the options of a command ask of loading. */
export function loadOptionsOf(flags: LoadFlags): LoadOptions {
  const { device, threads, mode, context, kv, policy, verify } = flags;
  return { device, threads, mode, context, kvType: kv, policy, verify };
}

/** What the options of a command ask of an answer. */
export function answerOptionsOf(flags: AnswerFlags, signal?: AbortSignal): GenerateOptions {
  return {
    maxTokens: flags.maxTokens,
    stop: flags.stop,
    overflow: flags.overflow,
    signal,
    sampling: {
      temperature: flags.temp,
      topK: flags.topK,
      topP: flags.topP,
      minP: flags.minP,
      repeatPenalty: flags.repeatPenalty,
      presencePenalty: flags.presencePenalty,
      frequencyPenalty: flags.frequencyPenalty,
      seed: flags.seed,
    },
  };
}

const patienceMs = 400;
const everyMs = 100;

/** A line on the terminal that says how much of something that takes long has been done. */
export class Progress {
  private readonly label: string;
  private readonly start = performance.now();
  private last = 0;

  constructor(label: string) {
    this.label = label;
  }

  show(done: number, all: number): void {
    const now = performance.now();
    if (now - this.start < patienceMs || now - this.last < everyMs) return;
    this.last = now;
    const filled = Math.floor((done / all) * 20);
    const bar = "=".repeat(filled).padEnd(20);
    process.stderr.write(`\r${this.label} [${bar}] ${String(Math.floor((done / all) * 100)).padStart(3)} %`);
  }

  clear(): void {
    if (this.last > 0) process.stderr.write(`\r${" ".repeat(40)}\r`);
  }
}
