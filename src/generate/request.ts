import { contextOverflow, keepRange, promptEmpty, requestRange, tokenRange } from "./errors.ts";
import type { SamplingOptions } from "./options.ts";

/** One answer that is asked for. */
export interface GenerateRequest {
  /** Token ids, at least one and fewer than the context holds. */
  readonly prompt: ArrayLike<number>;
  /** Most tokens to draw, at least 1. Default: as many as the context has room for. */
  readonly maxTokens?: number;
  readonly sampling?: SamplingOptions;
  /** Texts, or control tokens, that end the answer where they occur in it; they are not shown. None is empty. */
  readonly stop?: readonly string[];
  readonly signal?: AbortSignal;
  /**
   * When prompt and answer fill the context: "error" (the default) ends the answer with finishReason
   * "length"; "shift" keeps the first `keep` tokens and the newer half of the rest, reads them again and
   * goes on. A prompt that does not fit is an error in either case.
   */
  readonly overflow?: "error" | "shift";
  /** Tokens at the start that a shift keeps, at most half the context. Default: the bos token, if there. */
  readonly keep?: number;
  /** Go on after tokens that would end the answer, as if they were any other. Default false. */
  readonly ignoreEnd?: boolean;
  /**
   * Whether the answer goes on with the prompt's text, so that a leading space belongs to it. Default true;
   * false for the answer in a chat.
   */
  readonly continues?: boolean;
}

/**
 * Checks all of a request but its sampling options.
 *
 * @param vocabulary     V
 * @param contextLength  positions of one sequence
 * @throws ClavisError `generate.NAME`, `context.overflow`
 */
export function checkRequest(request: GenerateRequest, vocabulary: number, contextLength: number): void {
  const { maxTokens, stop, overflow, keep } = request;
  checkPrompt(request.prompt, vocabulary, contextLength - 1, contextLength);
  if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens >= 1)) {
    throw requestRange("max_tokens", "maxTokens", maxTokens, "a whole number of at least 1");
  }
  if (stop !== undefined && !(Array.isArray(stop) && stop.every((s) => typeof s === "string" && s !== ""))) {
    throw requestRange("stop", "stop", stop, "a list of texts, none of them empty");
  }
  if (overflow !== undefined && overflow !== "error" && overflow !== "shift") {
    throw requestRange("overflow", "overflow", overflow, '"error" or "shift"');
  }
  const mostKept = Math.floor(contextLength / 2);
  if (keep !== undefined && !(Number.isInteger(keep) && keep >= 0 && keep <= mostKept)) {
    throw keepRange(keep, mostKept);
  }
}

/**
 * @param most  tokens that the prompt may have
 * @throws ClavisError `generate.prompt`, `generate.token`, `context.overflow`
 */
export function checkPrompt(
  prompt: ArrayLike<number>,
  vocabulary: number,
  most: number,
  contextLength: number,
): void {
  if (prompt.length === 0) throw promptEmpty();
  if (prompt.length > most) throw contextOverflow(prompt.length, most, contextLength);
  for (let i = 0; i < prompt.length; i++) {
    const id = prompt[i];
    if (!(Number.isInteger(id) && id >= 0 && id < vocabulary)) throw tokenRange(i, id, vocabulary);
  }
}
