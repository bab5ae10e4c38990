import type { Command } from "commander";
import type { GenerateResult, GenerateStream, Message, Model, ModelInfo } from "../index.ts";
import { noTemplate, rawWithSystem } from "./errors.ts";
import { bytes, count, milliseconds, plural, rate, significant } from "./format.ts";
import { answerOptionsOf, interruption, openModel } from "./loading.ts";
import { type AnswerFlags, answerOptions, commonOptions, type LoadFlags, loadOptions } from "./options.ts";
import { note, print, printAnswer, printJson } from "./output.ts";
import { modelAndPrompt, wholePrompt } from "./prompt.ts";

export interface RunFlags extends LoadFlags, AnswerFlags {
  readonly system?: string;
  readonly raw?: boolean;
}

export function addRun(program: Command): void {
  const command = program.command("run");
  commonOptions(loadOptions(answerOptions(command)))
    .description("Answers a prompt, or chats on a terminal.")
    .usage("[options] [MODEL] [PROMPT…]")
    .argument("[words...]", "a model (a name or the path of a GGUF file; default: stories), then the prompt")
    .option("--system <text>", "a system message before the conversation")
    .option("--raw", "continue the prompt as it is, without the model's chat template")
    .addHelpText(
      "after",
      `
Without a prompt, a terminal gets a chat, and a pipe or file on stdin is answered once. With both a prompt
and stdin, the model sees the prompt, an empty line, and stdin; a last argument - waits for stdin as long
as it takes. Ctrl-C stops an answer.

Examples:
  clavis run
  clavis run "Write a story about a dog and a ball."
  clavis run model.gguf --system "Answer in one sentence." "What is a key?"
  clavis run model.gguf --temp 0 --max-tokens 100 --json "Name three fruits."
  cat notes.txt | clavis run model.gguf "Summarise this:"
  clavis run model.gguf --raw "Once upon a time"`,
    )
    .action(run);
}

async function run(words: readonly string[], flags: RunFlags): Promise<void> {
  if (flags.raw && flags.system !== undefined) throw rawWithSystem();
  const { model: source, prompt: given } = modelAndPrompt(words);
  const signal = interruption();
  // The model loads while stdin is awaited.
  const [prompt, model] = await Promise.all([
    wholePrompt(given, { signal }),
    openModel(source, flags, { signal }),
  ]);
  if (!flags.raw && !model.info.hasTemplate) throw noTemplate();
  if (flags.verbose) for (const line of loadedLines(model.info)) note(line);
  if (prompt !== undefined) await answerOnce(model, prompt, flags, signal);
  else {
    const { chat } = await import("./chat.ts");
    await chat(model, flags, signal);
  }
  await model.close();
}

/** Starts an answer: through the chat template, or with --raw as a continuation of the prompt. */
export function startAnswer(
  model: Model,
  messages: readonly Message[],
  flags: RunFlags,
  signal: AbortSignal,
): GenerateStream {
  const options = answerOptionsOf(flags, signal);
  if (flags.raw) return model.generate(messages[messages.length - 1].content, options);
  return model.chat(messages, options);
}

async function answerOnce(model: Model, prompt: string, flags: RunFlags, signal: AbortSignal): Promise<void> {
  const system: Message[] = flags.system === undefined ? [] : [{ role: "system", content: flags.system }];
  const stream = startAnswer(model, [...system, { role: "user", content: prompt }], flags, signal);
  let text = "";
  const tokens: number[] = [];
  try {
    for await (const piece of stream) {
      text += piece.text;
      tokens.push(...piece.tokens);
      if (!flags.json) await printAnswer(piece.text);
    }
  } catch (error) {
    // What follows on a terminal should not hang on the end of half a line.
    if (signal.aborted && process.stdout.isTTY && !text.endsWith("\n")) await print("\n");
    throw error;
  }
  const result = await stream.result;
  if (flags.json) return printJson(asData(model.info, text, tokens, result));
  if (!text.endsWith("\n")) await print("\n");
  for (const line of answerLines(model.info, result, flags)) note(line);
}

function asData(info: ModelInfo, text: string, tokens: readonly number[], result: GenerateResult): object {
  return {
    text,
    tokens,
    finish_reason: result.finishReason,
    stop: result.stopString,
    prompt_tokens: result.promptTokens,
    cached_tokens: result.cachedTokens,
    generated_tokens: result.generatedTokens,
    shifts: result.shifts,
    seed: result.seed,
    load_ms: info.loadMs,
    prompt_ms: result.promptMs,
    generate_ms: result.generateMs,
    first_token_ms: result.firstTokenMs,
    prompt_tok_s: promptRate(result) ?? null,
    generate_tok_s: answerRate(result) ?? null,
    model: info.name ?? null,
    device: info.device,
    kernels: info.kernels,
    threads: info.threads,
    mode: info.mode,
    context: info.context,
  };
}

const promptRate = (result: GenerateResult) =>
  rate(result.promptTokens - result.cachedTokens, result.promptMs);

/** The first token belongs to the prompt. */
const answerRate = (result: GenerateResult) => rate(result.generatedTokens - 1, result.generateMs);

/** What is said after an answer: why it ended where that may surprise, then the figures on one line. */
export function answerLines(info: ModelInfo, result: GenerateResult, flags: RunFlags): string[] {
  const lines: string[] = [];
  if (result.finishReason === "length") {
    lines.push(
      result.generatedTokens === flags.maxTokens
        ? `The answer was cut at --max-tokens ${flags.maxTokens}.`
        : `The context of ${info.context} tokens is full, so the answer ends here${
            info.context < info.trainedContext ? `; --context can be up to ${info.trainedContext}` : ""
          }.`,
    );
  }
  if (result.shifts > 0)
    lines.push(`The oldest text was dropped ${plural(result.shifts, "time")} (--overflow shift).`);
  if (flags.verbose) {
    const { seed, firstTokenMs } = result;
    lines.push(`seed ${seed}, first token after ${milliseconds(firstTokenMs)}`);
  }
  const cached = result.cachedTokens > 0 ? `, ${result.cachedTokens} of them cached,` : "";
  const perSecond = (value: number | undefined) => (value === undefined ? "" : ` at ${significant(value)}/s`);
  lines.push(
    [
      `prompt ${plural(result.promptTokens, "token")}${cached}${perSecond(promptRate(result))}`,
      `answer ${plural(result.generatedTokens, "token")}${perSecond(answerRate(result))}`,
      `${info.device} (${info.kernels})`,
      plural(info.threads, "thread"),
    ].join(" · "),
  );
  return lines;
}

function loadedLines(info: ModelInfo): string[] {
  return [
    `${info.name ?? "model"}: ${info.architecture}, ${count(info.parameters)} parameters, ${bytes(info.fileBytes)}`,
    `loaded in ${milliseconds(info.loadMs)}, ${bytes(info.memoryBytes)} of memory, ` +
      `context ${info.context} of ${info.trainedContext}, keys and values ${info.kvType}, ${info.mode}`,
  ];
}
