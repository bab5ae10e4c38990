import type { Command } from "commander";
import type { Inspection } from "../index.ts";
import { bytes, columns, count, visible } from "./format.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { print, printJson } from "./output.ts";

export function addInfo(program: Command): void {
  commonOptions(program.command("info"))
    .description("What a model file says of itself. Its weights are not read.")
    .argument("[model]", "a name or the path of a GGUF file", "stories")
    .addHelpText("after", "\nExamples:\n  clavis info model.gguf\n  clavis info model.gguf --json")
    .action(info);
}

async function info(model: string, flags: CommonFlags): Promise<void> {
  const { inspect } = await import("../index.ts");
  const found = await inspect(model);
  if (flags.json) await printJson(found);
  else await print(visible(columns(rows(found))));
}

function rows(found: Inspection): string[][] {
  const types = Object.entries(found.types).map(([type, tensors]) => `${type} × ${tensors}`);
  const shared = found.kvHeads === found.heads ? "" : `, ${found.kvHeads} for keys and values`;
  return [
    ["name", found.name ?? "–"],
    ["architecture", found.architecture],
    ["licence", found.licence ?? "–"],
    ["parameters", count(found.parameters)],
    ["file", bytes(found.fileBytes)],
    ["tensors", types.join(", ")],
    ["context", `${found.trainedContext} tokens`],
    ["layers", `${found.layers} of width ${found.width}`],
    ["heads", `${found.heads}${shared}`],
    ["vocabulary", `${found.vocabulary} tokens, ${found.tokenizer}`],
    ["chat template", found.hasTemplate ? "yes" : "no (clavis run needs --raw)"],
  ];
}
