import type { Command } from "commander";
import type { Verified } from "../index.ts";
import { wrongUsage } from "./errors.ts";
import { bytes, columns, visible } from "./format.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { print, printJson } from "./output.ts";

interface VerifyFlags extends CommonFlags {
  readonly key?: string[];
  readonly ca?: string[];
  readonly signature?: string;
}

export function addVerify(program: Command): void {
  const collect = (path: string, before: string[] = []) => [...before, path];
  commonOptions(program.command("verify"))
    .description("Whether a model's files are as they were signed (OpenSSF Model Signing v1.0).")
    .argument("<model>", "the model's folder, or its file")
    .option("--key <pem>", "public key of whoever may have signed it; may be repeated", collect)
    .option("--ca <pem>", "certificate of an authority for signers; may be repeated", collect)
    .option("--signature <file>", "the signature (model.sig in the folder, or FILE.sig)")
    .addHelpText(
      "after",
      "\nExamples:\n  clavis verify models/my-model --key signer.pub.pem\n" +
        "  clavis verify model.gguf --key signer.pub.pem --signature model.sig",
    )
    .action(verify);
}

async function verify(model: string, { key, ca, signature, json }: VerifyFlags): Promise<void> {
  if (!key && !ca) throw wrongUsage("option", "neither --key nor --ca", "clavis verify");
  const { verify } = await import("../index.ts");
  const verified = await verify(model, { keys: key, authorities: ca, signature });
  if (json) await printJson(verified);
  else await print(visible(columns(rows(verified))));
}

function rows({ name, method, signer, signature, files }: Verified): string[][] {
  const size = bytes(files.reduce((sum, file) => sum + file.bytes, 0));
  return [
    ["verified", files.length === 1 ? `${files[0].name}, ${size}` : `${files.length} files, ${size}`],
    ["signed as", name],
    [`signer's ${method}`, signer],
    ["signature", signature],
  ];
}
