import { ClavisError, grouped, quoted } from "../../errors.ts";

/** Messages of the native device. */

export function unavailable(reason: string): ClavisError {
  return new ClavisError("device.unavailable", {
    found: `the native device cannot run here: ${reason}`,
    expected: "kernels compiled for this machine",
    next: "Install a C++ compiler (g++ or clang++) and run `npm run build`, or choose the device `wasm`.",
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

export function notPacked(name: string, type: string): ClavisError {
  return new ClavisError("device.type", {
    found: `${quoted(name)} of type ${type}, which no native kernel multiplies with`,
    expected: "a type of weights that has kernels",
    next: "Choose the device `wasm` or `reference`.",
  });
}

export function busy(): ClavisError {
  return new ClavisError("device.busy", {
    found: "a step before the last one was done",
    expected: "one step at a time",
    next: "Await run() before calling it again.",
  });
}

export function failed(cause: unknown): ClavisError {
  return new ClavisError("device.failed", {
    found: `the native kernels refused a call: ${quoted(text(cause))}`,
    expected: "no refusal",
    next: "Load the model again; if it happens once more, please report it.",
    cause,
  });
}

export function text(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
