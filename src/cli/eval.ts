import type { Command } from "commander";
import type { Divergence, Model, Perplexity } from "../index.ts";
import { defaultContext, leastContext } from "../measure/windows.ts";
import { noText } from "./errors.ts";
import { columns, milliseconds, plural } from "./format.ts";
import { readTextFile } from "./input.ts";
import { interruption, openModel, Progress } from "./loading.ts";
import { choiceOption, commonOptions, type LoadFlags, loadOptions, numberOption } from "./options.ts";
import { print, printJson } from "./output.ts";

interface EvalFlags extends LoadFlags {
  readonly text?: string;
  readonly stride?: number;
  readonly against?: string;
  readonly againstMode: "same" | "fast" | "reproducible";
}

/** Rows of logits in a step: half a window of the usual size, so that it is read in one or two steps. */
const logitRows = 256;

export function addEval(program: Command): void {
  const context = numberOption("--context <tokens>", `tokens of a window (${defaultContext}, or what fits)`, {
    least: leastContext,
    whole: true,
  });
  commonOptions(loadOptions(program.command("eval"), context))
    .description("How well a model expects a text, and how far it is from its original.")
    .argument("[model]", "a name or the path of a GGUF file", "stories")
    .option("--text <file>", "the text, in UTF-8; - reads stdin")
    .addOption(
      numberOption("--stride <tokens>", "from one window to the next; each scores its last so many", {
        least: 1,
        whole: true,
      }),
    )
    .option("--against <model>", "compare with this model, the original")
    .addOption(choiceOption("--against-mode <mode>", "the original's mode", ["same", "fast", "reproducible"]))
    .addHelpText(
      "after",
      `
Perplexity is e to the mean negative log-likelihood of a token, given those before it in its window; lower is
better. Without --stride, windows follow one another and the second half of each is scored, as llama.cpp's
perplexity tool does. With --against, the Kullback-Leibler divergence from the original is added.

Examples:
  clavis eval --text book.txt
  clavis eval model-q4_0.gguf --against model-f16.gguf --text book.txt --json
  clavis eval --against stories --against-mode reproducible --text book.txt`,
    )
    .action(evaluate);
}

async function evaluate(source: string, flags: EvalFlags): Promise<void> {
  if (flags.text === undefined) throw noText();
  const signal = interruption();
  const text = await readTextFile(flags.text, signal);
  const context = flags.context ?? (await shortestContext([source, flags.against], signal));
  const open = (name: string, mode = flags.mode) =>
    openModel(name, { ...flags, mode, context }, { signal, logitRows });
  const model = await open(source);
  const mode = flags.againstMode === "same" ? flags.mode : flags.againstMode;
  const original = flags.against === undefined ? undefined : await open(flags.against, mode);

  const progress = process.stderr.isTTY ? new Progress("scoring") : undefined;
  const options = {
    ...{ context, stride: flags.stride, signal },
    progress: (done: number, all: number) => progress?.show(done, all),
  };
  const start = performance.now();
  let own: Perplexity;
  let apart: Divergence | undefined;
  try {
    if (original) apart = await model.divergence(original, text, options);
    own = apart?.perplexity ?? (await model.perplexity(text, options));
  } finally {
    progress?.clear();
  }
  const ms = performance.now() - start;
  await Promise.all([model.close(), original?.close()]);
  const comparison = original && apart && { name: flags.against!, mode: original.info.mode, ...apart };
  if (flags.json) await printJson(asData(model, own, ms, comparison));
  else await print(asText(model, own, ms, comparison));
}

/** The usual window, or less where a model was trained for less. */
async function shortestContext(
  sources: readonly (string | undefined)[],
  signal: AbortSignal,
): Promise<number> {
  const { inspect } = await import("../index.ts");
  let context = defaultContext;
  for (const source of sources) {
    if (source === undefined) continue;
    context = Math.min(context, (await inspect(source, { remote: true, signal })).trainedContext);
  }
  return context;
}

/** What came of --against. */
interface Comparison extends Divergence {
  /** The original, as the command names it: types of one model often share the name in the file. */
  readonly name: string;
  readonly mode: string;
}

function asData({ info }: Model, own: Perplexity, ms: number, original?: Comparison): object {
  return {
    perplexity: own.perplexity,
    perplexity_se: own.standardError,
    nll: own.nll,
    nll_se: own.nllStandardError,
    ...(original && {
      original: original.name,
      original_mode: original.mode,
      original_perplexity: original.originalPerplexity.perplexity,
      kl_mean: original.meanKl,
      kl_mean_se: original.meanKlStandardError,
      kl_max: original.maxKl,
      same_top: original.sameTop,
    }),
    tokens: own.tokens,
    scored_tokens: own.scoredTokens,
    windows: own.windows,
    context: own.context,
    stride: own.stride,
    ms,
    model: info.name ?? info.architecture,
    device: info.device,
    kernels: info.kernels,
    threads: info.threads,
    mode: info.mode,
    kv: info.kvType,
  };
}

function asText({ info }: Model, own: Perplexity, ms: number, original?: Comparison): string {
  const rows = [
    ["perplexity", own.perplexity.toFixed(4), `± ${own.standardError.toFixed(4)}`],
    ["nats a token", own.nll.toFixed(5), `± ${own.nllStandardError.toFixed(5)}`],
  ];
  if (original) {
    rows.push(
      ["original", original.originalPerplexity.perplexity.toFixed(4), `${original.name}, ${original.mode}`],
      [
        "divergence",
        original.meanKl.toExponential(3),
        `± ${original.meanKlStandardError.toExponential(1)}, in nats a token`,
      ],
      ["largest", original.maxKl.toExponential(3), ""],
      ["same top", `${(100 * original.sameTop).toFixed(3)} %`, "of places"],
    );
  }
  rows.push([
    "scored",
    `${own.scoredTokens} of ${plural(own.tokens, "token")}`,
    `in ${plural(own.windows, "window")} of ${own.context}, ${milliseconds(ms)}`,
  ]);
  const name = info.name ?? info.architecture;
  return `${name}: ${info.device} (${info.kernels}), ${plural(info.threads, "thread")}, ${info.mode}\n\n${columns(rows)}`;
}
