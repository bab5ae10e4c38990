import type { Metadata } from "../bytes/metadata.ts";
import { compileTemplate, type TemplateOptions } from "./chat-template.ts";
import * as errors from "./errors.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** One turn of a conversation, in the form that chat templates expect. */
export interface Message {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
  /** Other fields, such as tool_calls or reasoning_content, reach the template as they are. */
  readonly [name: string]: unknown;
}

export interface ChatOptions extends TemplateOptions {
  /** End with the opening of the assistant's turn, so that the model answers. Default true. */
  readonly addGenerationPrompt?: boolean;
  readonly tools?: readonly unknown[];
  /** More names for the template, e.g. enable_thinking. */
  readonly context?: Readonly<Record<string, unknown>>;
}

/**
 * The prompt text for a conversation, by the model's own template. Encode it with `special: true`;
 * whether bos is in it already is the template's affair, so see {@link encodeChat}.
 *
 * @throws ClavisError `chat.no_template` for a model without one; `template.*` from rendering
 */
export function chatPrompt(
  metadata: Metadata,
  tokenizer: Tokenizer,
  messages: readonly Message[],
  { addGenerationPrompt = true, tools, context, stepBudget, maxOutput }: ChatOptions = {},
): string {
  const source = metadata.optionalString("tokenizer.chat_template");
  if (source === undefined || source.trim() === "") throw errors.noTemplate();
  const textOf = (id: number | undefined) => (id === undefined ? "" : tokenizer.text(id));
  return compileTemplate(source, { stepBudget, maxOutput }).render({
    ...context,
    messages,
    add_generation_prompt: addGenerationPrompt,
    bos_token: textOf(tokenizer.bos),
    eos_token: textOf(tokenizer.eos),
    ...(tools && { tools }),
  });
}

/**
 * The ids of a conversation: the rendered prompt with its special tokens, and bos and eos as the
 * model wants them, once.
 *
 * @throws ClavisError as {@link chatPrompt} and Tokenizer.encode
 */
export function encodeChat(
  metadata: Metadata,
  tokenizer: Tokenizer,
  messages: readonly Message[],
  options: ChatOptions = {},
): Int32Array {
  const prompt = chatPrompt(metadata, tokenizer, messages, options);
  const ids = tokenizer.encode(prompt, { special: true });
  const wanted = tokenizer.encode("", { addSpecial: true });
  const opensWithBos = tokenizer.bos !== undefined && wanted[0] === tokenizer.bos;
  if (!opensWithBos || ids[0] === tokenizer.bos) return ids;
  const opened = new Int32Array(ids.length + 1);
  opened[0] = tokenizer.bos!;
  opened.set(ids, 1);
  return opened;
}
