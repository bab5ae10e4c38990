import { ClavisError, grouped } from "../errors.ts";

// One function per message of this area, so that wording can be reviewed together.

export const windowRange = (option: "context" | "stride", value: unknown, least: number, most: number) =>
  new ClavisError(`eval.${option}`, {
    found: `${option} is ${String(value)}`,
    expected: `a whole number from ${grouped(least)} to ${grouped(most)}`,
    next:
      option === "context"
        ? "Choose a window that fits the context that the model was loaded with."
        : "Choose a stride shorter than the window, or leave it out.",
  });

export const textTooShort = (tokens: number, context: number) =>
  new ClavisError("eval.text", {
    found: `a text of ${grouped(tokens)} tokens`,
    expected: `at least ${grouped(context)}, one window`,
    next: "Take a longer text, or a smaller --context.",
  });

export const logitsUnusable = (index: number) =>
  new ClavisError("eval.logits", {
    found: `logits after token ${grouped(index)} of the text that are not all numbers below infinity`,
    expected: "logits that probabilities can be made of",
    next: "The model file is damaged or its arithmetic overflowed; check the file, or try --mode reproducible.",
  });

export const otherVocabulary = (found: string, expected: string) =>
  new ClavisError("eval.vocabulary", {
    found,
    expected,
    next: "Compare models that share a tokenizer, such as two types of the same model.",
  });
