import type { Command } from "commander";
import type { Model } from "../index.ts";
import { benchTooLong } from "./errors.ts";
import { columns, plural, rate, significant } from "./format.ts";
import { interruption, openModel } from "./loading.ts";
import { commonOptions, type LoadFlags, loadOptions, numberOption } from "./options.ts";
import { print, printJson } from "./output.ts";

interface BenchFlags extends LoadFlags {
  readonly prompt?: number;
  readonly generate?: number;
  readonly rounds: number;
}

const defaultPrompt = 512;
const defaultGenerate = 64;

export function addBench(program: Command): void {
  commonOptions(loadOptions(program.command("bench")))
    .description("How fast a model reads prompts and writes answers here.")
    .argument("[model]", "a name or the path of a GGUF file", "stories")
    .addOption(
      numberOption("--prompt <tokens>", `tokens to read (${defaultPrompt}, or what fits)`, {
        least: 1,
        whole: true,
      }),
    )
    .addOption(
      numberOption("--generate <tokens>", `tokens to write (${defaultGenerate}, or what fits)`, {
        least: 2,
        whole: true,
      }),
    )
    .addOption(
      numberOption("--rounds <count>", "measured rounds; one more before them warms up", {
        least: 1,
        most: 1000,
        whole: true,
      }).default(3),
    )
    .addHelpText(
      "after",
      `
The model is loaded once. Each round reads random tokens, so that no prompt is found in the cache, and
writes the likeliest ones. Figures are medians over the rounds, with the least and the most.

Examples:
  clavis bench
  clavis bench model.gguf --prompt 512 --generate 64 --threads 2 --rounds 5 --json`,
    )
    .action(bench);
}

interface Round {
  readonly promptRate: number;
  readonly generateRate: number;
  readonly firstTokenMs: number;
}

async function bench(source: string, flags: BenchFlags): Promise<void> {
  const signal = interruption();
  const { inspect } = await import("../index.ts");
  const { trainedContext } = await inspect(source, { remote: true, signal });
  const context = Math.min(flags.context ?? trainedContext, trainedContext);
  const { prompt, generate } = sizes(flags, context);
  // No longer than needed, so that the memory measured is what such an answer takes.
  const model = await openModel(
    source,
    { ...flags, context: flags.context ?? prompt + generate },
    { signal },
  );
  const rounds: Round[] = [];
  // Before the measured rounds, one in which the JavaScript engine compiles what it runs.
  await round(model, prompt, generate, 0, signal);
  for (let i = 1; i <= flags.rounds; i++) rounds.push(await round(model, prompt, generate, i, signal));
  // Node gives it in KiB on every system.
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  await model.close();

  const promptRate = spread(rounds.map((one) => one.promptRate));
  const generateRate = spread(rounds.map((one) => one.generateRate));
  const firstToken = spread(rounds.map((one) => one.firstTokenMs));
  const read = (tokensPerSecond: number) => (tokensPerSecond * model.info.readsBytes) / 1e9;
  const { info } = model;
  const figures = {
    prompt_tok_s: promptRate.median,
    prompt_tok_s_min: promptRate.least,
    prompt_tok_s_max: promptRate.most,
    generate_tok_s: generateRate.median,
    generate_tok_s_min: generateRate.least,
    generate_tok_s_max: generateRate.most,
    first_token_ms: firstToken.median,
    first_token_ms_min: firstToken.least,
    first_token_ms_max: firstToken.most,
    read_gb_s: read(generateRate.median),
    read_gb_s_min: read(generateRate.least),
    read_gb_s_max: read(generateRate.most),
    load_ms: info.loadMs,
    peak_rss_mb: peakRssBytes / 1e6,
    model: info.name ?? source,
    architecture: info.architecture,
    file_bytes: info.fileBytes,
    reads_bytes: info.readsBytes,
    memory_bytes: info.memoryBytes,
    device: info.device,
    kernels: info.kernels,
    threads: info.threads,
    mode: info.mode,
    kv: info.kvType,
    context: info.context,
    prompt,
    generate,
    rounds: flags.rounds,
    node: process.version,
  };
  if (flags.json) return printJson(figures);
  const row = (label: string, name: string, unit: string) => {
    const value = figures as unknown as Record<string, number>;
    const range = `${significant(value[`${name}_min`])} – ${significant(value[`${name}_max`])}`;
    return [label, significant(value[name]), unit, range];
  };
  const table = columns([
    ["", "median", "", "least – most"],
    row(`prompt of ${prompt}`, "prompt_tok_s", "tokens/s"),
    row(`answer of ${generate}`, "generate_tok_s", "tokens/s"),
    row("first token", "first_token_ms", "ms"),
    row("weights read", "read_gb_s", "GB/s"),
    ["loading", significant(figures.load_ms), "ms"],
    ["peak memory", significant(figures.peak_rss_mb), "MB"],
  ]);
  await print(
    `${figures.model}: ${info.device} (${info.kernels}), ${plural(info.threads, "thread")}, ${info.mode}\n\n${table}`,
  );
}

/** Tokens to read and write: as asked, where they fit; what was not asked for shrinks to fit. */
function sizes(flags: BenchFlags, context: number): { prompt: number; generate: number } {
  const generate = flags.generate ?? Math.max(2, Math.min(defaultGenerate, context - (flags.prompt ?? 1)));
  const prompt = flags.prompt ?? Math.max(1, Math.min(defaultPrompt, context - generate));
  if (prompt + generate > context) throw benchTooLong(prompt, generate, context);
  return { prompt, generate };
}

async function round(
  model: Model,
  prompt: number,
  generate: number,
  seed: number,
  signal: AbortSignal,
): Promise<Round> {
  const stream = model.generate(randomTokens(model, prompt, seed), {
    maxTokens: generate,
    ignoreEnd: true,
    sampling: { temperature: 0 },
    signal,
  });
  const result = await stream.result;
  return {
    promptRate: rate(prompt, result.promptMs) ?? 0,
    // The first token belongs to the prompt.
    generateRate: rate(result.generatedTokens - 1, result.generateMs) ?? 0,
    firstTokenMs: result.firstTokenMs,
  };
}

/** Text tokens drawn by a linear congruential generator: others for every seed, the same on each run. */
function randomTokens(model: Model, count: number, seed: number): number[] {
  const { tokenizer } = model;
  const size = Math.min(tokenizer.vocabularySize, model.info.vocabulary);
  const tokens: number[] = [];
  // Multiplier and increment of Numerical Recipes' `ranqd1`; its high bits are good enough here.
  let state = (seed + 1) * 0x9e3779b9;
  for (let tries = 0; tokens.length < count; tries++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const id = Math.floor((state / 2 ** 32) * size);
    // A vocabulary of control tokens only would never end the loop.
    if (tries > 100 * count || !tokenizer.isControl(id)) tokens.push(id);
  }
  return tokens;
}

function spread(values: readonly number[]): { median: number; least: number; most: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return {
    median: (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2,
    least: sorted[0],
    most: sorted[sorted.length - 1],
  };
}
