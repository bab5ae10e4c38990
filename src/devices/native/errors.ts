import { ClavisError, quoted } from "../../errors.ts";
import { text } from "../errors.ts";

/** Messages of the native device. */

export function unavailable(reason: string): ClavisError {
  return new ClavisError("device.unavailable", {
    found: `the native device cannot run here: ${reason}`,
    expected: "kernels compiled for this machine",
    next: "Install a C++ compiler (g++ or clang++) and run `npm run build`, or choose the device `wasm`.",
  });
}

export function notPacked(name: string, type: string): ClavisError {
  return new ClavisError("device.type", {
    found: `${quoted(name)} of type ${type}, which no native kernel multiplies with`,
    expected: "a type of weights that has kernels",
    next: "Choose the device `wasm` or `reference`.",
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
