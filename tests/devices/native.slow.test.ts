import { beforeAll, expect, test, vi } from "vitest";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { reference } from "../../src/devices/reference/device.ts";
import { goldenModels, Runner, storiesPath, syntheticFile } from "../support/golden.ts";
import { describeNative, levels } from "../support/native.ts";
import { expectSameBits, logitsOf } from "../support/same-bits.ts";

// Whole models on the native device: the same bits as the reference device for every logit.

describeNative.each(["f16", "q8"] as const)("native: clavis-stories with a cache of %s", (kvType) => {
  let want: Float32Array[];
  beforeAll(async () => {
    const runner = await Runner.open(storiesPath, reference, { kvType });
    want = await logitsOf(runner);
    await runner.close();
  });

  test.each(levels.flatMap((level) => [1, 2, 3, 4].map((threads) => ({ level, threads }))))(
    "$level, $threads threads: the reference's bits",
    async ({ level, threads }) => {
      const runner = await Runner.open(storiesPath, nativeDevice({ level, threads }), { kvType });
      expectSameBits(await logitsOf(runner), want);
      await runner.close();
    },
  );
});

describeNative("native: every architecture and type of the golden models", () => {
  test.each(goldenModels)("$arch $type: the reference's bits at every level", async (model) => {
    const path = await syntheticFile(model);
    const runner = await Runner.open(path, reference);
    const want = await logitsOf(runner);
    await runner.close();
    for (const level of levels) {
      const other = await Runner.open(path, nativeDevice({ level, threads: 2 }));
      expectSameBits(await logitsOf(other), want);
      await other.close();
    }
  });
});

describeNative("native: levels of instructions", () => {
  test("CLAVIS_CPU lowers the level", async () => {
    vi.stubEnv("CLAVIS_CPU", levels[0]);
    const lowered = nativeDevice();
    vi.unstubAllEnvs();
    expect((await lowered.describe()).kernels).toBe(levels[0]);
  });

  test("an unknown level takes nothing away", async () => {
    const best = await nativeDevice({ level: "" }).describe();
    const odd = await nativeDevice({ level: "pentium" }).describe();
    expect(odd.kernels).toBe(best.kernels);
  });
});
