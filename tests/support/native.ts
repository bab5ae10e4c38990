import { describe } from "vitest";
import { buildNative } from "../../scripts/build-native.mjs";
import { nativeDevice } from "../../src/devices/native/device.ts";

const { file, message } = await buildNative();

/** The compiled kernels, where this machine has a compiler. */
export const addonFile: string | undefined = file;

/** describe, or a skipped one that says why: no compiler. */
export const describeNative = file ? describe : describe.skip;
if (!file) process.stdout.write(`${message}; tests of the native device are skipped\n`);

/** The levels of instructions that this processor has, lowest first. */
export const levels: readonly string[] = nativeDevice().levels() ?? [];
