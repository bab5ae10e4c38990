import { ClavisError } from "../errors.ts";

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
