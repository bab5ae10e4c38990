import { afterAll, beforeAll, describe, test } from "vitest";
import { reference } from "../../src/devices/reference/device.ts";
import { wasmDevice } from "../../src/devices/wasm/device.ts";
import { nodePlatform } from "../../src/devices/wasm/node-platform.ts";
import { goldenModels, Runner, storiesPath, syntheticFile } from "../support/golden.ts";
import { expectSameBits, logitsOf } from "../support/same-bits.ts";

// Whole models on the wasm device: the same bits as the reference device for every logit.

const builds = ["relaxed", "simd"] as const;
const threadCounts = [0, 1, 2, 3, 4];

describe.each(["f16", "q8"] as const)("wasm: clavis-stories with a cache of %s", (kvType) => {
  let want: Float32Array[];
  beforeAll(async () => {
    const runner = await Runner.open(storiesPath, reference, { kvType });
    want = await logitsOf(runner);
    await runner.close();
  });

  test.each(builds.flatMap((kernels) => threadCounts.map((threads) => ({ kernels, threads }))))(
    "$kernels, $threads workers: the reference's bits",
    async ({ kernels, threads }) => {
      const runner = await Runner.open(storiesPath, wasmDevice(nodePlatform, { kernels, threads }), {
        kvType,
      });
      expectSameBits(await logitsOf(runner), want);
      await runner.close();
    },
  );
});

describe("wasm: every architecture and type of the golden models", () => {
  const devices = builds.map((kernels) => wasmDevice(nodePlatform, { kernels, threads: 2 }));
  let want: Float32Array[] = [];

  test.each(goldenModels)("$arch $type: the reference's bits", async (model) => {
    const path = await syntheticFile(model);
    const runner = await Runner.open(path, reference);
    want = await logitsOf(runner);
    await runner.close();
    for (const device of devices) {
      const other = await Runner.open(path, device);
      expectSameBits(await logitsOf(other), want);
      await other.close();
    }
  });

  afterAll(() => {
    want = [];
  });
});
