import type { Device } from "../../src/devices/device.ts";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { wasmDevice } from "../../src/devices/wasm/device.ts";
import { nodePlatform } from "../../src/devices/wasm/node-platform.ts";
import { levels } from "./native.ts";

const { exactKernels } = await nativeDevice({ level: "amx-model" }).describe();

/** Tiles modelled, where the processor has what is around them: above the others, so the last. */
const modelled = exactKernels?.includes("amxint8-model") ? ["amx-model"] : [];

/** One set of kernels, to run on any number of threads. */
export interface Kernels {
  readonly name: string;
  device(threads: number): Device;
}

/** Every set of kernels that this machine runs: both builds of wasm, and native at each level of instructions. */
export const everyKernels: readonly Kernels[] = [
  ...(["relaxed", "simd"] as const).map(
    (kernels): Kernels => ({
      name: `wasm, ${kernels}`,
      device: (threads) => wasmDevice(nodePlatform, { kernels, threads }),
    }),
  ),
  ...[...levels, ...modelled].map(
    (level): Kernels => ({
      name: `native, ${level}`,
      device: (threads) => nativeDevice({ level, threads }),
    }),
  ),
];

export const threadCounts = [1, 2, 3, 4] as const;
