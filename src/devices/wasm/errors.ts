import { ClavisError, grouped, quoted } from "../../errors.ts";
import { text } from "../errors.ts";

/** Messages of the wasm device. */

export function noKernels(file: string, cause: unknown): ClavisError {
  return new ClavisError("device.kernels", {
    found: `the kernels ${file} could not be loaded (${text(cause)})`,
    expected: "a WebAssembly module that comes with the package",
    next: "Build them with `npm run build`, or install the package again.",
    cause,
  });
}

export function unavailable(reason: string): ClavisError {
  return new ClavisError("device.unavailable", {
    found: `the wasm device cannot run here: ${reason}`,
    expected: "a runtime with WebAssembly SIMD",
    next: "Use a newer runtime, or choose the device `reference`.",
  });
}

export function tooLarge(bytes: number, parts: string): ClavisError {
  return new ClavisError("device.memory_limit", {
    found: `the model needs ${grouped(bytes)} bytes (${parts})`,
    expected: "at most 4,294,901,760, what WebAssembly can address",
    next: "Take a smaller context, a cache of type q8, or a model with smaller weights.",
  });
}

export function failed(what: string): ClavisError {
  return new ClavisError("device.failed", {
    found: `a compute thread failed: ${quoted(what)}`,
    expected: "no failure",
    next: "Load the model again; if it happens once more, please report it.",
  });
}

export function closedWhileRunning(): ClavisError {
  return new ClavisError("device.closed", {
    found: "close() before a step was done",
    expected: "an open model until the step's end",
    next: "Load the model again.",
  });
}
