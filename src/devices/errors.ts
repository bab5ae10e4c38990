import { ClavisError } from "../errors.ts";

export function closedError(): ClavisError {
  return new ClavisError("device.closed", {
    found: "a step after close()",
    expected: "an open model",
    next: "Load the model again.",
  });
}
