import { openGguf } from "../../src/bytes/gguf.ts";
import type { Metadata } from "../../src/bytes/metadata.ts";
import { openFile } from "../../src/bytes/node-file.ts";
import { ClavisError } from "../../src/errors.ts";
import { createTokenizer, type Tokenizer } from "../../src/tokens/tokenizer.ts";

/** The metadata of a GGUF file. */
export async function metadataOf(path: string): Promise<Metadata> {
  const source = await openFile(path);
  try {
    return (await openGguf([source])).metadata;
  } finally {
    await source.close();
  }
}

/** The tokenizer that a GGUF file describes. */
export async function tokenizerOf(path: string): Promise<Tokenizer> {
  return createTokenizer(await metadataOf(path));
}

/** The code of the ClavisError that a call throws. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof ClavisError) return error.code;
    throw error;
  }
  return "no error";
}
