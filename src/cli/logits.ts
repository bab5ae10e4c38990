import type { Command } from "commander";
import { ClavisError, grouped } from "../errors.ts";
import type { Model } from "../index.ts";
import { inputJson } from "./errors.ts";
import { columns } from "./format.ts";
import { isIdList, readJsonList } from "./input.ts";
import { interruption, openModel } from "./loading.ts";
import { commonOptions, type LoadFlags, loadOptions } from "./options.ts";
import { print, printJson } from "./output.ts";

const topCount = 20;
const greedyCount = 16;
const expected = "[[id, …], …], lists of token ids, none of them empty";

export function addLogits(program: Command): void {
  commonOptions(loadOptions(program.command("logits")))
    .description("The largest logits after prompts of token ids, and how the likeliest tokens go on.")
    .argument("[model]", "a name or the path of a GGUF file", "stories")
    .addHelpText(
      "after",
      `
stdin is a JSON list of prompts, each a list of token ids. With --json the answer is a list of
{"top": [[id, logit] × ${topCount}], "greedy": [${greedyCount} ids]}: the largest first, the lower id first among
equals; greedy is shorter where the context ends.

Examples:
  echo '[[459, 491, 262, 406]]' | clavis logits stories --json
  clavis logits model.gguf --mode reproducible --json < prompts.json`,
    )
    .action(logits);
}

interface Answer {
  readonly top: readonly (readonly [id: number, logit: number])[];
  readonly greedy: readonly number[];
}

async function logits(source: string, flags: LoadFlags): Promise<void> {
  const signal = interruption();
  const prompts = await readJsonList(expected, isIdList, signal);
  const model = await openModel(source, flags, { signal });
  const { vocabulary } = model.info;
  for (const [i, prompt] of prompts.entries()) {
    if (prompt.length === 0) throw inputJson(`an empty list as item ${i + 1}`, expected);
    const odd = prompt.find((id) => id >= vocabulary);
    if (odd !== undefined) throw inputJson(`id ${odd} in item ${i + 1}`, `ids below ${grouped(vocabulary)}`);
  }
  const answers: Answer[] = [];
  for (const prompt of prompts) answers.push(await answerTo(model, prompt, signal));
  if (flags.json) await printJson(answers);
  else await print(answers.map((answer) => table(model, answer)).join("\n"));
  await model.close();
}

async function answerTo(model: Model, prompt: readonly number[], signal: AbortSignal): Promise<Answer> {
  const values = await model.logits(prompt);
  signal.throwIfAborted();
  const top = largest(values, topCount);
  const greedy: number[] = [];
  if (prompt.length < model.info.context) {
    const stream = model.generate(prompt, {
      maxTokens: greedyCount,
      ignoreEnd: true,
      sampling: { temperature: 0 },
      signal,
    });
    for await (const piece of stream) greedy.push(...piece.tokens);
  } else greedy.push(top[0][0]);
  return { top, greedy };
}

/**
 * The largest values with their indices, descending; the lower index first among equals.
 *
 * @throws ClavisError `sample.nan`
 */
export function largest(values: Float32Array, count: number): [id: number, logit: number][] {
  if (values.some(Number.isNaN)) {
    throw new ClavisError("sample.nan", {
      found: `the logit of token ${values.findIndex(Number.isNaN)} is not a number`,
      expected: "numbers from the model",
      next: "The model file is damaged or its arithmetic overflowed; check the file.",
    });
  }
  return Array.from(values.keys())
    .sort((a, b) => values[b] - values[a] || a - b)
    .slice(0, count)
    .map((id) => [id, values[id]]);
}

function table(model: Model, { top, greedy }: Answer): string {
  const text = (ids: readonly number[]) => JSON.stringify(model.detokenize(ids, { special: true }));
  const rows = top.map(([id, logit]) => [String(id).padStart(7), logit.toFixed(4).padStart(10), text([id])]);
  return `${columns(rows)} greedy  ${greedy.join(" ")}\n         ${text(greedy)}\n`;
}
