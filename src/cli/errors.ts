import { ClavisError, grouped, quoted } from "../errors.ts";

// One function per message of the command, so that wording can be reviewed together.

/** Ctrl-C: the command ends with exit code 130. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  constructor() {
    super("interrupted");
  }
}

/** Nobody reads stdout any more, as in `clavis … | head -1`. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** Options whose range the model decides are checked by the library. */
const wrongOption = /^(usage\.|load\.(context|threads|kv_type)$|eval\.(context|stride)$)/;

/** The exit code of the command for what it failed with. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof OutputClosed) return 0;
  if (error instanceof Interrupted) return 130;
  return error instanceof ClavisError && wrongOption.test(error.code) ? 2 : 1;
}

// ---- options and arguments

export const optionValue = (option: string, found: string, expected: string) =>
  new ClavisError("usage.option", {
    found: `${option} is ${quoted(found)}`,
    expected,
    next: `Give ${option} such a value, or leave it out.`,
  });

/** What the option parser refused, in its own words. */
export const wrongUsage = (kind: string, complaint: string, command: string, suggestion?: string) =>
  new ClavisError(`usage.${kind}`, {
    found: complaint,
    expected: `what \`${command} --help\` lists`,
    next: suggestion ?? `See \`${command} --help\`.`,
  });

export const neitherModelNorFile = (word: string, defaultModel: string, near: readonly string[]) =>
  new ClavisError("model.not_found", {
    found: `${quoted(word)} is neither the name of a model nor a file`,
    expected: `a name such as ${near.map(quoted).join(", ")}, owner/repo of the Hugging Face hub, or the path of a GGUF file`,
    next: `Check the name; \`clavis list\` shows the models that are here. If it is a prompt, name the model first: clavis run ${defaultModel} ${quoted(word)}`,
  });

export const emptyPrompt = () =>
  new ClavisError("usage.prompt", {
    found: "an empty prompt",
    expected: "some text, as an argument or on stdin",
    next: 'For example: clavis run stories "Write a story about a dog and a ball."',
  });

export const rawWithSystem = () =>
  new ClavisError("usage.system", {
    found: "--system together with --raw",
    expected: "one of them: without a chat template there is no place for a system message",
    next: "Leave out --raw, or write the instruction into the prompt.",
  });

export const noTemplate = () =>
  new ClavisError("chat.no_template", {
    found: "a model without a chat template",
    expected: "tokenizer.chat_template in the model file, or --raw",
    next: "Run again with --raw: the model then continues your text as it is.",
  });

// ---- stdin

export const inputTooLong = (limitBytes: number, name = "stdin") =>
  new ClavisError("usage.input_size", {
    found: `more than ${grouped(limitBytes)} bytes in ${name}`,
    expected: "at most that",
    next: "Give it in smaller parts.",
  });

export const inputNotUtf8 = (name = "stdin") =>
  new ClavisError("usage.utf8", {
    found: `bytes in ${name} that are not UTF-8`,
    expected: "text in UTF-8",
    next: "Convert it first, for example with iconv -t utf-8.",
  });

export const inputFailed = (reason: string, cause: unknown, name = "stdin") =>
  new ClavisError("input.read", {
    found: `${name} cannot be read: ${reason}`,
    expected: "a file, a pipe or a terminal",
    next: "Check the path, or what the command's input comes from.",
    cause,
  });

export const inputJson = (found: string, expected: string) =>
  new ClavisError("usage.json", {
    found: `${found} on stdin`,
    expected,
    next: "Check the JSON; docs/command.md shows the form.",
  });

// ---- stdout

export const outputFailed = (reason: string, cause: unknown) =>
  new ClavisError("output.write", {
    found: `stdout cannot be written: ${reason}`,
    expected: "room for the result",
    next: "Free some space or write elsewhere; what was written so far is not complete.",
    cause,
  });

// ---- bench

export const benchTooLong = (prompt: number, generate: number, context: number) =>
  new ClavisError("usage.bench", {
    found: `a prompt of ${grouped(prompt)} and an answer of ${grouped(generate)} tokens`,
    expected: `at most ${grouped(context)} together, the model's context`,
    next: "Choose a smaller --prompt or --generate.",
  });

// ---- eval

export const noText = () =>
  new ClavisError("usage.text", {
    found: "no --text",
    expected: "--text with the path of a text, or - for stdin",
    next: "For example: clavis eval stories --text book.txt",
  });
