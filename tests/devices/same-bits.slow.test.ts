import { basename } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../src/devices/device.ts";
import { reference } from "../../src/devices/reference/device.ts";
import { wasmDevice } from "../../src/devices/wasm/device.ts";
import { nodePlatform } from "../../src/devices/wasm/node-platform.ts";
import { everyKernels, threadCounts } from "../support/devices.ts";
import { goldenModels, oneOfEach, Runner, storiesPath, syntheticFile } from "../support/golden.ts";
import { greedyHash } from "../support/greedy-hash.mjs";
import { expectSameBits, logitsOf } from "../support/same-bits.ts";

// Whole models in reproducible mode: every device computes the bits of the reference, whatever its instructions and
// its number of threads. AArch64 is compared in native-aarch64.slow.test.ts.

const models = await oneOfEach();
const everyWay = everyKernels.flatMap((kernels) => threadCounts.map((threads) => ({ ...kernels, threads })));

describe.each(models.map((path) => ({ name: basename(path, ".gguf"), path })))(
  "64 greedy tokens of $name",
  ({ path }) => {
    const hashOn = async (device: Device) => {
      const runner = await Runner.open(path, device, { context: 96 });
      try {
        return await greedyHash((ids: number[]) => runner.step(ids), 2000);
      } finally {
        await runner.close();
      }
    };
    let want: string;
    beforeAll(async () => {
      want = await hashOn(reference);
    });

    test.each(everyWay)("$name, threads: $threads", async ({ device, threads }) => {
      expect(await hashOn(device(threads))).toBe(want);
    });
  },
);

describe("clavis-stories with a cache of q8", () => {
  const kvType = "q8";
  let want: Float32Array[];
  beforeAll(async () => {
    const runner = await Runner.open(storiesPath, reference, { kvType });
    want = await logitsOf(runner);
    await runner.close();
  });

  const singleThread = {
    name: "wasm, without workers",
    device: () => wasmDevice(nodePlatform, { threads: 0 }),
    threads: 0,
  };
  test.each([...everyWay, singleThread])("$name, threads: $threads", async ({ device, threads }) => {
    const runner = await Runner.open(storiesPath, device(threads), { kvType });
    expectSameBits(await logitsOf(runner), want);
    await runner.close();
  });
});

describe("every architecture and type of the golden models", () => {
  test.each(goldenModels)("$arch $type", async (model) => {
    const path = await syntheticFile(model);
    const runner = await Runner.open(path, reference);
    const want = await logitsOf(runner);
    await runner.close();
    for (const { device } of everyKernels) {
      const other = await Runner.open(path, device(2));
      expectSameBits(await logitsOf(other), want);
      await other.close();
    }
  });
});
