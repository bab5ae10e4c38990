import type { Command } from "commander";
import { columns, visible } from "./format.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { print, printJson } from "./output.ts";

interface KeygenFlags extends CommonFlags {
  readonly out: string;
}

export function addKeygen(program: Command): void {
  commonOptions(program.command("keygen"))
    .description("Makes a pair of keys to sign models with (elliptic curve P-256, PEM).")
    .option("--out <name>", "the files' path and name, without .pem", "clavis-key")
    .addHelpText("after", "\nExamples:\n  clavis keygen --out my\n  clavis sign models/my-model --key my.pem")
    .action(keygen);
}

async function keygen({ out, json }: KeygenFlags): Promise<void> {
  const { generateKeys } = await import("../index.ts");
  const made = await generateKeys(out);
  if (json) return printJson(made);
  const rows = [
    ["private key", made.privateKey, "keep it to yourself; it signs in your name"],
    ["public key", made.publicKey, "give it to whoever verifies"],
  ];
  await print(visible(columns(rows)));
}
