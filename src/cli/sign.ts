import type { Command } from "commander";
import { plural, visible } from "./format.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { print, printJson } from "./output.ts";

interface SignFlags extends CommonFlags {
  readonly key: string;
  readonly out?: string;
}

export function addSign(program: Command): void {
  commonOptions(program.command("sign"))
    .description("Signs the files of a model (OpenSSF Model Signing v1.0).")
    .argument("<model>", "the model's folder, or its file")
    .requiredOption("--key <pem>", "your private key; clavis keygen makes one")
    .option("--out <file>", "where the signature goes (model.sig in the folder, or FILE.sig)")
    .addHelpText(
      "after",
      "\nExamples:\n  clavis sign models/my-model --key my.pem\n  clavis sign model.gguf --key my.pem",
    )
    .action(sign);
}

async function sign(model: string, { key, out, json }: SignFlags): Promise<void> {
  const { sign } = await import("../index.ts");
  const signed = await sign(model, { key, out });
  if (json) await printJson(signed);
  else await print(visible(`signed ${plural(signed.files.length, "file")} in ${signed.signature}\n`));
}
