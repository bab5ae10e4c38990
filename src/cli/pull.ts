import type { Command } from "commander";
import { bytes } from "./format.ts";
import { interruption } from "./loading.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { note, print, printJson } from "./output.ts";
import { PullDisplay } from "./pull-display.ts";

interface PullFlags extends CommonFlags {
  readonly verify?: boolean;
}

export function addPull(program: Command): void {
  commonOptions(program.command("pull"))
    .description("Downloads a model, or brings it up to date; prints its path.")
    .argument("<model>", "a name, owner/repo[:quant] or a file of the Hugging Face hub, or an address")
    .option("--verify", "compute the digest of files that are here again")
    .addHelpText(
      "after",
      `
A broken or stopped download goes on where it was. HF_TOKEN, HF_ENDPOINT, HF_HUB_CACHE, HF_HOME,
HF_HUB_OFFLINE, HTTPS_PROXY, ALL_PROXY, NO_PROXY and NODE_EXTRA_CA_CERTS are heeded.

Examples:
  clavis pull qwen3:0.6b
  clavis pull Qwen/Qwen3-4B-GGUF:Q4_K_M
  clavis pull hf.co/owner/repo/file.gguf
  clavis pull https://example.org/model.gguf`,
    )
    .action(pullModel);
}

async function pullModel(name: string, flags: PullFlags): Promise<void> {
  const { pull } = await import("../index.ts");
  const display = new PullDisplay();
  const onEvent = display.show.bind(display);
  try {
    const pulled = await pull(name, { signal: interruption(), verify: flags.verify, onEvent });
    display.end();
    const { path, paths, signatures, downloadedBytes, quant } = pulled;
    if (flags.json) {
      const figures = { bytes: pulled.bytes, downloaded_bytes: downloadedBytes, quant: quant ?? null };
      return await printJson({ name, path, paths, signatures, ...figures });
    }
    if (signatures.length > 0)
      note(`Its repository has a signature: clavis verify ${name} --key SIGNER.pub.pem`);
    note(downloadedBytes > 0 ? `${bytes(downloadedBytes)} downloaded` : "It is here and up to date.");
    await print(`${path}\n`);
  } finally {
    display.end();
  }
}
