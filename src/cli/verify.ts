import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { Verified } from "../index.ts";
import { wrongUsage } from "./errors.ts";
import { bytes, columns, plural, visible } from "./format.ts";
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
    .argument("<model>", "the model's folder, its file, or the name of a downloaded model")
    .option("--key <pem>", "public key of whoever may have signed it; may be repeated", collect)
    .option("--ca <pem>", "certificate of an authority for signers; may be repeated", collect)
    .option(
      "--signature <file>",
      "the signature (model.sig in the folder; FILE.sig, else model.sig beside it)",
    )
    .addHelpText(
      "after",
      `
A folder must hold exactly the files that were signed. Of a file, or a model by name, only its own files are
compared, and how many others the signature names is said.

Examples:
  clavis verify models/my-model --key signer.pub.pem
  clavis verify model.gguf --key signer.pub.pem --signature model.sig
  clavis verify owner/repo:Q4_K_M --key signer.pub.pem`,
    )
    .action(verify);
}

async function verify(model: string, { key, ca, signature, json }: VerifyFlags): Promise<void> {
  if (!key && !ca) throw wrongUsage("option", "neither --key nor --ca", "clavis verify");
  const { resolve, verify } = await import("../index.ts");
  const trust = { keys: key, authorities: ca, signature };
  // A downloaded model lies behind links; only by its name are they followed.
  const isPath = existsSync(model);
  const paths = isPath ? [model] : (await resolve(model)).paths;
  const parts: Verified[] = [];
  for (const path of paths) parts.push(await verify(path, { ...trust, followLinks: !isPath }));
  const verified = joined(parts);
  if (json) await printJson(verified);
  else await print(visible(columns(rows(verified))));
}

/** The parts of a split model as one. */
function joined(parts: readonly Verified[]): Verified {
  const [first] = parts;
  const one = parts.every((part) => part.signature === first.signature);
  const signedFiles = one ? first.signedFiles : parts.reduce((sum, part) => sum + part.signedFiles, 0);
  return { ...first, files: parts.flatMap((part) => part.files), signedFiles };
}

function rows({ name, method, signer, signature, files, signedFiles }: Verified): string[][] {
  const size = bytes(files.reduce((sum, file) => sum + file.bytes, 0));
  const others = signedFiles - files.length;
  return [
    ["verified", files.length === 1 ? `${files[0].name}, ${size}` : `${files.length} files, ${size}`],
    ...(others > 0 ? [["not looked at", `${plural(others, "other file")} that the signature names`]] : []),
    ["signed as", name],
    [`signer's ${method}`, signer],
    ["signature", signature],
  ];
}
