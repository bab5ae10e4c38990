import type { Command } from "commander";
import { bytes } from "./format.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { note, printJson } from "./output.ts";

export function addRm(program: Command): void {
  commonOptions(program.command("rm"))
    .description("Removes downloaded models. Bytes that another model or revision needs stay.")
    .argument("<models...>", "names, as `clavis list` shows them")
    .addHelpText("after", "\nExamples:\n  clavis rm Qwen/Qwen3-4B-GGUF:Q4_K_M")
    .action(removeModels);
}

async function removeModels(names: readonly string[], flags: CommonFlags): Promise<void> {
  const { remove } = await import("../index.ts");
  const models: string[] = [];
  let freedBytes = 0;
  for (const name of names) {
    const removed = await remove(name);
    models.push(...removed.models);
    freedBytes += removed.freedBytes;
    for (const model of removed.models) note(`${model} removed`);
  }
  if (flags.json) await printJson({ removed: models, freed_bytes: freedBytes });
  else if (freedBytes > 0) note(`${bytes(freedBytes)} freed`);
  else note("Nothing freed: another model or revision needs the same bytes.");
}
