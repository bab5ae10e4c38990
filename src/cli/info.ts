import type { Command } from "commander";
import type { Inspection, ModelOrigin } from "../index.ts";
import { ago, bytes, columns, count, visible } from "./format.ts";
import { interruption } from "./loading.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { print, printJson } from "./output.ts";
import { PullDisplay } from "./pull-display.ts";

export function addInfo(program: Command): void {
  commonOptions(program.command("info"))
    .description("What a model file says of itself, and where it is from. Its weights are not read.")
    .argument("[model]", "a name, an address or the path of a GGUF file", "stories")
    .addHelpText(
      "after",
      `
Of a model that is not on this machine, only the header is read over the network; nothing is kept.

Examples:
  clavis info model.gguf
  clavis info qwen3:0.6b --json`,
    )
    .action(info);
}

async function info(model: string, flags: CommonFlags): Promise<void> {
  const { inspect, originOf } = await import("../index.ts");
  const display = new PullDisplay();
  const onPull = display.show.bind(display);
  const found = await inspect(model, { remote: true, signal: interruption(), onPull }).finally(() =>
    display.end(),
  );
  const { usedAt, ...origin } = await originOf(model);
  if (flags.json) {
    const used_at = usedAt === undefined ? null : new Date(usedAt).toISOString();
    return printJson({ ...found, ...origin, used_at });
  }
  const used = usedAt === undefined ? [] : [["used", ago(Date.now() - usedAt)]];
  await print(visible(columns([...rows(found), ["from", placeOf(origin)], ...used])));
}

function placeOf({ from, repo, commit, url, path }: ModelOrigin): string {
  if (from === "package") return "the package";
  if (from === "path") return path!;
  const place = from === "url" ? url! : commit ? `${repo}, commit ${commit.slice(0, 12)}` : repo!;
  return path === undefined ? `${place} (not on this machine)` : place;
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
