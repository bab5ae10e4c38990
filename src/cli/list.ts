import type { Command } from "commander";
import { ago, bytes, columns, visible } from "./format.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { note, print, printJson } from "./output.ts";

export function addList(program: Command): void {
  commonOptions(program.command("list").alias("ls"))
    .description(
      "The models on this machine: downloaded by Clavis or by other tools of the Hugging Face hub.",
    )
    .addHelpText("after", "\nExamples:\n  clavis list\n  clavis list --json")
    .action(listModels);
}

async function listModels(flags: CommonFlags): Promise<void> {
  const { list } = await import("../index.ts");
  const models = await list();
  if (flags.json) {
    return printJson(
      models.map(({ usedAt, ...model }) => ({
        ...model,
        used_at: usedAt === undefined ? null : new Date(usedAt).toISOString(),
      })),
    );
  }
  const rows = models.map((model) => [
    model.name,
    bytes(model.bytes),
    model.quant ?? "–",
    model.architecture ?? "–",
    model.licence ?? "–",
    model.from,
    model.usedAt === undefined ? "–" : ago(Date.now() - model.usedAt),
  ]);
  await print(
    visible(columns([["NAME", "SIZE", "TYPE", "ARCHITECTURE", "LICENCE", "FROM", "USED"], ...rows])),
  );
  if (models.every(({ from }) => from === "package"))
    note("No model has been downloaded yet; for example: clavis pull qwen3:0.6b");
}
