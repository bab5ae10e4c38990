import type { Command } from "commander";
import { loadOptionsOf } from "./loading.ts";
import { commonOptions, type LoadFlags, planOptions } from "./options.ts";
import { print, printJson } from "./output.ts";

export function addExplain(program: Command): void {
  commonOptions(planOptions(program.command("explain")))
    .description("The plan of a step: a line per kernel call with shapes and bytes of weights read.")
    .argument("[model]", "a name or the path of a GGUF file", "stories")
    .addHelpText(
      "after",
      `
T is the number of tokens in a step, R of the tokens whose logits are wanted.

Examples:
  clavis explain model.gguf
  clavis explain model.gguf --device reference --context 4096`,
    )
    .action(explain);
}

async function explain(source: string, flags: LoadFlags): Promise<void> {
  const { explain } = await import("../index.ts");
  const { text, ...figures } = await explain(source, { ...loadOptionsOf(flags), sequences: 1 });
  if (!flags.json) return print(`${text}\n`);
  await printJson({
    device: figures.device,
    mode: figures.mode,
    context: figures.context,
    kv: figures.kvType,
    reads_bytes: figures.readsBytes,
    plan: text.split("\n"),
  });
}
