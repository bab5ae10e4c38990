import { ClavisError, grouped, quoted } from "../../errors.ts";

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

export function noMemory(bytes: number, cause: unknown): ClavisError {
  return new ClavisError("device.memory", {
    found: `${grouped(bytes)} bytes of memory could not be had (${text(cause)})`,
    expected: "that much free memory in one piece",
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

export function stepOutOfRange(what: string, value: number, limit: number): ClavisError {
  return new ClavisError("device.step", {
    found: `a step with ${what} ${value}`,
    expected: `from 0 to ${limit}`,
    next: "This is a mistake in the program that made the step; please report it.",
  });
}

export function busy(): ClavisError {
  return new ClavisError("device.busy", {
    found: "a step before the last one was done",
    expected: "one step at a time",
    next: "Await run() before calling it again.",
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

function text(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
