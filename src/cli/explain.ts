import type { Command } from "commander";
import { interruption, openModel } from "./loading.ts";
import { commonOptions, type LoadFlags, loadOptions } from "./options.ts";
import { print, printJson } from "./output.ts";

export function addExplain(program: Command): void {
  commonOptions(loadOptions(program.command("explain")))
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
  const model = await openModel(source, flags, { signal: interruption() });
  const plan = model.explain();
  const { device, kernels, threads, mode, context, kvType, readsBytes, memoryBytes } = model.info;
  await model.close();
  if (!flags.json) return print(`${plan}\n`);
  const lines = plan.split("\n");
  await printJson({
    device,
    kernels,
    threads,
    mode,
    context,
    kv: kvType,
    reads_bytes: readsBytes,
    memory_bytes: memoryBytes,
    plan: lines,
  });
}
