import { ClavisError, grouped } from "../errors.ts";

/** Messages that more than one device uses. */

export function closedError(): ClavisError {
  return new ClavisError("device.closed", {
    found: "a step after close()",
    expected: "an open model",
    next: "Load the model again.",
  });
}

export function stepOutOfRange(what: string, value: number, limit: number): ClavisError {
  return new ClavisError("device.step", {
    found: `a step with ${what} ${value}`,
    expected: `from 0 to ${limit}`,
    next: "This is a mistake in the program that made the step; please report it.",
  });
}

export function stepType(what: string, expected: string): ClavisError {
  return new ClavisError("device.step", {
    found: `a step whose ${what} ${what.startsWith("a ") ? "is" : "are"} something else`,
    expected,
    next: "This is a mistake in the program that made the step; please report it.",
  });
}

export function stepOrder(token: number): ClavisError {
  return new ClavisError("device.step", {
    found: `a step whose token ${token} stands apart from its sequence or out of order`,
    expected: "tokens of one sequence as neighbours, in ascending position",
    next: "This is a mistake in the program that made the step; please report it.",
  });
}

export function noMemory(bytes: number, cause: unknown): ClavisError {
  return new ClavisError("device.memory", {
    found: `no room for a model of ${grouped(bytes)} bytes (${text(cause)})`,
    expected: "that much free memory",
    next: "Close other programs, take a smaller context, or a smaller model.",
    cause,
  });
}

export function q8HeadWidth(headWidth: number): ClavisError {
  return new ClavisError("device.cache_q8", {
    found: `heads of ${headWidth} values with a cache of type q8`,
    expected: "a head width that 32 divides",
    next: "Use the cache type f16.",
  });
}

export function busy(): ClavisError {
  return new ClavisError("device.busy", {
    found: "a step before the last one was done",
    expected: "one step at a time",
    next: "Await run() before calling it again.",
  });
}

/** The message of whatever was thrown. */
export function text(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
