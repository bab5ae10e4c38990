import type { Command } from "commander";
import type { Tokenizer } from "../tokens/tokenizer.ts";
import { emptyPrompt } from "./errors.ts";
import { columns, plural } from "./format.ts";
import { isText, readJsonList, readText, stdinKind } from "./input.ts";
import { interruption } from "./loading.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { note, print, printJson } from "./output.ts";

interface TokenizeFlags extends CommonFlags {
  readonly special?: boolean;
}

export function addTokenize(program: Command): void {
  commonOptions(program.command("tokenize"))
    .description("The token ids of texts, by a model's own vocabulary.")
    .argument("[model]", "a name or the path of a GGUF file", "stories")
    .argument("[text...]", "the text; without it, stdin is read")
    .option("--special", "add bos and eos as the model wants them, and recognise control tokens in the text")
    .addHelpText(
      "after",
      `
With --json and no text, stdin is a JSON list of texts, and the answer is a list of lists of ids.

Examples:
  clavis tokenize stories "Once upon a time"
  echo '["one", "two"]' | clavis tokenize model.gguf --json`,
    )
    .action(tokenize);
}

async function tokenize(source: string, words: readonly string[], flags: TokenizeFlags): Promise<void> {
  const signal = interruption();
  const tokenizer = await openTokenizer(source);
  const options = { special: flags.special, addSpecial: flags.special };
  const given = words.length > 0 ? words.join(" ") : undefined;
  if (flags.json) {
    const texts = given === undefined ? await readJsonList('["text", …]', isText, signal) : [given];
    return printJson(texts.map((text) => Array.from(tokenizer.encode(text, options))));
  }
  if (given === undefined && stdinKind() === "terminal")
    note("Reading text from the terminal; Ctrl-D ends it.");
  const text = given ?? (await readText({ signal }))!;
  if (text === "") throw emptyPrompt();
  const ids = tokenizer.encode(text, options);
  const pieces = Array.from(ids, (id) => [String(id).padStart(7), pieceOf(tokenizer, id)]);
  await print(columns(pieces));
  note(plural(ids.length, "token"));
}

/** The tokenizer of a model; its weights are not read. */
async function openTokenizer(source: string): Promise<Tokenizer> {
  const { openGguf } = await import("../bytes/gguf.ts");
  const { openModelFiles } = await import("../bytes/node-file.ts");
  const { resolve } = await import("../store/resolve.ts");
  const { createTokenizer } = await import("../tokens/tokenizer.ts");
  const files = await openModelFiles((await resolve(source)).path);
  try {
    return createTokenizer((await openGguf(files)).metadata);
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

/** A token's text in quotes, or its bytes where they are only a part of a character. */
function pieceOf(tokenizer: Tokenizer, id: number): string {
  if (tokenizer.isControl(id)) return JSON.stringify(tokenizer.text(id));
  const bytes = tokenizer.bytes(id);
  try {
    return JSON.stringify(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return Array.from(bytes, (byte) => `<${byte.toString(16).padStart(2, "0")}>`).join("");
  }
}
