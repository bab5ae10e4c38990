import { existsSync } from "node:fs";
import { defaultModel, isModelName, suggestions } from "../store/names.ts";
import { emptyPrompt, neitherModelNorFile } from "./errors.ts";
import { type ReadOptions, readText, stdinKind } from "./input.ts";
import { note } from "./output.ts";

export interface ModelAndPrompt {
  readonly model: string;
  /** Nothing where no words are left for a prompt. */
  readonly prompt?: string;
}

/**
 * Tells a model from a prompt: the first word is a model where it is a known name, a file that is there, or
 * looks like a path; otherwise all words are a prompt for the default model if there is white space in them.
 *
 * @throws ClavisError `model.not_found` for a single word that is none of these
 */
export function modelAndPrompt(words: readonly string[]): ModelAndPrompt {
  const [first, ...rest] = words;
  if (first === undefined) return { model: defaultModel };
  if (first === "-") return { model: defaultModel, prompt: words.join(" ") };
  if (first !== "" && isModel(first)) {
    return { model: first, prompt: rest.length > 0 ? rest.join(" ") : undefined };
  }
  const prompt = words.join(" ");
  if (prompt.trim() === "") throw emptyPrompt();
  if (!/\s/.test(first)) throw neitherModelNorFile(first, defaultModel, suggestions(first));
  return { model: defaultModel, prompt };
}

function isModel(word: string): boolean {
  if (isModelName(word) || /\.gguf$/i.test(word) || /^(\.{0,2}|~)[/\\]|^[a-z]:[/\\]/i.test(word)) return true;
  // A sentence may have a slash in it; a path rarely has white space, and then it must be there.
  return (/[/\\]/.test(word) && !/\s/.test(word)) || existsSync(word);
}

/** Programs that start the command may leave its stdin open without ever writing to it. */
const patienceMs = 3000;

/**
 * The whole prompt of one answer: the words, then stdin where it is a pipe or a file.
 * A last word `-` stands for stdin and waits for it, however long it takes.
 *
 * @returns nothing where there is neither, so that a chat can begin
 * @throws ClavisError `usage.prompt` for an empty prompt, and as `readText`
 */
export async function wholePrompt(
  words: string | undefined,
  options: Pick<ReadOptions, "signal">,
): Promise<string | undefined> {
  const waits = words === undefined || /(^|\s)-$/.test(words);
  const text = words?.replace(/(^|\s)-$/, "") || undefined;
  const kind = stdinKind();
  if (words === undefined && kind === "terminal") return undefined;
  let input: string | undefined;
  if (waits) input = await readText(options);
  else if (kind === "stream") {
    input = await readText({ ...options, patienceMs });
    if (input === undefined)
      note("Nothing came on stdin, so the prompt is used alone; a last argument - waits for it.");
  }
  const parts = [text, input?.replace(/\r?\n$/, "")].filter(
    (part) => part !== undefined && part.trim() !== "",
  );
  if (parts.length === 0) throw emptyPrompt();
  return parts.join("\n\n");
}
