import { ClavisError, grouped, quoted } from "../errors.ts";

// One function per message of this area, so that wording can be reviewed together.

const damaged = "The file was written wrongly or is damaged; use another copy of the model.";

// ---- vocabulary

export const unknownModel = (model: string, supported: readonly string[]) =>
  new ClavisError("tokens.model", {
    found: `the tokenizer model ${quoted(model)}`,
    expected: `one of ${supported.join(", ")}`,
    next: "Use a model with one of these tokenizers, or update Clavis.",
  });

export const unknownPre = (pre: string, supported: readonly string[]) =>
  new ClavisError("tokens.pre", {
    found: `the pre-tokenizer ${quoted(pre)}`,
    expected: `one of ${supported.join(", ")}`,
    next: "Splitting text by other rules would give wrong tokens; update Clavis for this one.",
  });

export const emptyVocabulary = () =>
  new ClavisError("tokens.empty", {
    found: "a vocabulary without tokens",
    expected: "at least one token under tokenizer.ggml.tokens",
    next: damaged,
  });

export const listLength = (what: string, found: number, tokens: number) =>
  new ClavisError("tokens.length", {
    found: `${grouped(found)} ${what}`,
    expected: `${grouped(tokens)}, one for each token`,
    next: damaged,
  });

export const duplicateToken = (text: string, first: number, second: number) =>
  new ClavisError("tokens.duplicate", {
    found: `the token ${quoted(text)} twice, with ids ${grouped(first)} and ${grouped(second)}`,
    expected: "each token once",
    next: damaged,
  });

export const tokenType = (id: number, type: number) =>
  new ClavisError("tokens.type", {
    found: `token ${grouped(id)} has type ${type}`,
    expected: "a type from 1 (normal) to 6 (byte)",
    next: damaged,
  });

export const scoreNotFinite = (id: number, score: number) =>
  new ClavisError("tokens.score", {
    found: `token ${grouped(id)} has the score ${score}`,
    expected: "a finite number",
    next: damaged,
  });

export const specialId = (key: string, id: number, tokens: number) =>
  new ClavisError("tokens.special_id", {
    found: `${key} is ${grouped(id)}`,
    expected: `a token id from 0 to ${grouped(tokens - 1)}`,
    next: damaged,
  });

export const specialLength = (id: number, length: number, most: number) =>
  new ClavisError("tokens.special_length", {
    found: `token ${grouped(id)}, which is matched as text, has ${grouped(length)} characters`,
    expected: `at most ${grouped(most)}`,
    next: damaged,
  });

export const mergeForm = (rank: number, merge: string) =>
  new ClavisError("tokens.merge", {
    found: `merge ${grouped(rank)} is ${quoted(merge)}`,
    expected: "two tokens with a space between them",
    next: damaged,
  });

export const mergeUnknown = (rank: number, merge: string, part: string) =>
  new ClavisError("tokens.merge_unknown", {
    found: `merge ${grouped(rank)}, ${quoted(merge)}, names the token ${quoted(part)}`,
    expected: "tokens of the vocabulary",
    next: damaged,
  });

export const byteTokenForm = (id: number, text: string) =>
  new ClavisError("tokens.byte", {
    found: `byte token ${grouped(id)} has the text ${quoted(text)}`,
    expected: "<0x00> to <0xFF>",
    next: damaged,
  });

// ---- encoding and decoding

export const idOutOfRange = (id: number, tokens: number) =>
  new ClavisError("tokens.id", {
    found: `the token id ${id}`,
    expected: `a whole number from 0 to ${grouped(tokens - 1)}`,
    next: "Pass ids of this model's own vocabulary.",
  });

export const textLength = (length: number, most: number) =>
  new ClavisError("tokens.text_length", {
    found: `a text of ${grouped(length)} UTF-16 units`,
    expected: `at most ${grouped(most)} at once`,
    next: "Divide the text at line breaks and encode the parts one after another.",
  });

export const wordLength = (cause?: unknown) =>
  new ClavisError("tokens.word_length", {
    found: "a text with millions of letters, or of other characters of one kind, in a row",
    expected: "words, with spaces or other characters between them",
    next: "Check that it is text; divide it if it is.",
    cause,
  });

export const noTokenFor = (what: string) =>
  new ClavisError("tokens.no_token", {
    found: `text with ${what}, for which the vocabulary has no token`,
    expected: "text that the vocabulary can spell, or a vocabulary with an unknown token",
    next: "Leave the character out, or use a model whose vocabulary covers it.",
  });

// ---- chat templates

export const templateSyntax = (message: string, cause: unknown) =>
  new ClavisError("template.syntax", {
    found: `a chat template that cannot be parsed: ${quoted(message)}`,
    expected: "a Jinja template",
    next: "Use --raw to send the prompt without a template, or another copy of the model.",
    cause,
  });

export const templateTooLong = (what: string, found: number, most: number) =>
  new ClavisError("template.size", {
    found: `a chat template with ${grouped(found)} characters${what}`,
    expected: `at most ${grouped(most)}`,
    next: "No real template needs as much; use --raw to send the prompt without it.",
  });

export const templateRaised = (message: string) =>
  new ClavisError("template.raised", {
    found: `the model's chat template refused the messages: ${quoted(message)}`,
    expected: "messages that the template accepts",
    next: "Change the messages as it asks, or use --raw to send the prompt without a template.",
  });

export const templateFailed = (message: string, cause: unknown) =>
  new ClavisError("template.failed", {
    found: `the chat template failed: ${quoted(message)}`,
    expected: "a template that renders these messages",
    next: "Check the form of the messages, or use --raw to send the prompt without a template.",
    cause,
  });

export const templateBudget = (what: string, most: string) =>
  new ClavisError("template.budget", {
    found: `a chat template that ${what}`,
    expected: most,
    next: "The template loops too long for a prompt; shorten the messages or use --raw.",
  });

export const noTemplate = () =>
  new ClavisError("chat.no_template", {
    found: "a model without a chat template",
    expected: "a template under tokenizer.chat_template",
    next: "It is a text-completion model: use --raw and give it the beginning of a text.",
  });

// ---- normalization

export const charactersMap = (problem: string) =>
  new ClavisError("tokens.charsmap", {
    found: `a tokenizer.ggml.precompiled_charsmap with ${problem}`,
    expected: "a trie and its replacements, as SentencePiece writes them",
    next: damaged,
  });
