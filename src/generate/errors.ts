import { ClavisError, grouped, quoted } from "../errors.ts";

// One function per message of this area, so that wording can be reviewed together.

/** Numbers and other values as they stand in a message. */
const shown = (value: unknown): string => {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return value === null ? "null" : Array.isArray(value) ? "a list" : `a value of type ${typeof value}`;
};

// ---- sampling

export const optionRange = (code: string, option: string, value: unknown, range: string) =>
  new ClavisError(`sample.${code}`, {
    found: `${option} is ${shown(value)}`,
    expected: range,
    next: `Choose ${option} in that range, or leave it out.`,
  });

export const logitNaN = (id: number) =>
  new ClavisError("sample.nan", {
    found: `the logit of token ${grouped(id)} is not a number`,
    expected: "numbers from the model",
    next: "The model file is damaged or its arithmetic overflowed; check the file, or try --mode reproducible.",
  });

export const logitInfinite = (id: number) =>
  new ClavisError("sample.infinite", {
    found: `the logit of token ${grouped(id)} is Infinity`,
    expected: "finite numbers, or -Infinity for a token that is barred",
    next: "The model file is damaged or its arithmetic overflowed; check the file, or try --mode reproducible.",
  });

export const nothingAllowed = (tokens: number) =>
  new ClavisError("sample.empty", {
    found: `the logits of all ${grouped(tokens)} tokens are -Infinity`,
    expected: "at least one token that may be drawn",
    next: "Bar fewer tokens with logitBias.",
  });

export const logitCount = (found: number, expected: number) =>
  new ClavisError("sample.logits", {
    found: `${grouped(found)} logits`,
    expected: `${grouped(expected)}, one for each token of the vocabulary`,
    next: "Pass one whole row of logits.",
  });

// ---- requests

export const promptEmpty = () =>
  new ClavisError("generate.prompt", {
    found: "a prompt without tokens",
    expected: "at least one token",
    next: "Write a prompt, or begin with the model's bos token.",
  });

export const tokenRange = (index: number, id: unknown, vocabulary: number) =>
  new ClavisError("generate.token", {
    found: `prompt token ${grouped(index)} is ${shown(id)}`,
    expected: `a whole number from 0 to ${grouped(vocabulary - 1)}`,
    next: "Make the prompt with the tokenizer of the same model.",
  });

export const requestRange = (code: string, option: string, value: unknown, range: string) =>
  new ClavisError(`generate.${code}`, {
    found: `${option} is ${shown(value)}`,
    expected: range,
    next: `Choose ${option} in that range, or leave it out.`,
  });

export const contextOverflow = (promptTokens: number, most: number, contextLength: number) =>
  new ClavisError("context.overflow", {
    found: `a prompt of ${grouped(promptTokens)} tokens`,
    expected: `at most ${grouped(most)} for a context of ${grouped(contextLength)}`,
    next: "Shorten the prompt, or load the model with a longer context (--context).",
  });

export const keepRange = (keep: unknown, most: number) =>
  new ClavisError("generate.keep", {
    found: `keep is ${shown(keep)}`,
    expected: `a whole number from 0 to ${grouped(most)}, half the context`,
    next: "Keep fewer tokens, or load the model with a longer context (--context).",
  });

export const engineClosed = () =>
  new ClavisError("engine.closed", {
    found: "a request to a model that has been closed",
    expected: "an open model",
    next: "Load the model again.",
  });

export const engineClosing = () =>
  new ClavisError("engine.closed", {
    found: "the model was closed while it answered",
    expected: "a model open until the answer is done",
    next: "Wait for the stream's result before closing the model.",
  });

export const engineLimits = (what: string, found: number) =>
  new ClavisError("engine.limits", {
    found: `${what} is ${shown(found)}`,
    expected: "a whole number of at least 1",
    next: "Plan the model with room for one token, one sequence and one page.",
  });
