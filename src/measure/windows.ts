import { textTooShort, windowRange } from "./errors.ts";

/** How a text is cut into windows, each read from an empty cache. */
export interface WindowOptions {
  /** Tokens of a window, at least 4. Default: 512, or the model's context where that is less. */
  readonly context?: number;
  /**
   * Tokens from the start of one window to the next; each window then scores its last `stride` tokens. Default:
   * windows follow one another, and of each the second half is scored, as llama.cpp's perplexity tool does.
   */
  readonly stride?: number;
}

/** A window begins at token `start`, and its tokens from `firstScored` (of the window) on are scored. */
export interface Window {
  readonly start: number;
  readonly firstScored: number;
}

export interface Windows {
  readonly context: number;
  readonly stride: number;
  readonly list: readonly Window[];
  /** Tokens that all windows score together. */
  readonly scoredTokens: number;
}

export const defaultContext = 512;
/** One token that is scored and one before it, in each half. */
export const leastContext = 4;

/**
 * The whole windows of a text. What is left after the last one is not scored.
 *
 * Without a stride, a window of N tokens scores those from N/2 + 1 on, since the token at N/2 is the first that
 * llama.cpp takes logits after.
 *
 * @param tokens         of the text
 * @param contextLength  the most tokens that a window can have
 * @throws ClavisError `eval.context`, `eval.stride`, `eval.text` for a text shorter than a window
 * Sources: llama.cpp, tools/perplexity/perplexity.cpp; the strided form: "Perplexity of fixed-length models" in
 * the documentation of Hugging Face Transformers
 */
export function windowsOf(tokens: number, contextLength: number, options: WindowOptions): Windows {
  const { context = Math.min(defaultContext, contextLength), stride } = options;
  if (!isWithin(context, leastContext, contextLength)) {
    throw windowRange("context", context, leastContext, contextLength);
  }
  if (stride !== undefined && !isWithin(stride, 1, context - 1)) {
    throw windowRange("stride", stride, 1, context - 1);
  }
  if (tokens < context) throw textTooShort(tokens, context);
  const step = stride ?? context;
  const firstScored = stride === undefined ? Math.floor(context / 2) + 1 : context - stride;
  const list: Window[] = [];
  for (let start = 0; start + context <= tokens; start += step) list.push({ start, firstScored });
  return { context, stride: step, list, scoredTokens: list.length * (context - firstScored) };
}

function isWithin(value: unknown, least: number, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
}
