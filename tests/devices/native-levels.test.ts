import { expect, test, vi } from "vitest";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { describeNative, levels } from "../support/native.ts";

describeNative("native: levels of instructions", () => {
  test("every level that the kernels name can be asked for, and the best is taken otherwise", async () => {
    for (const level of levels) expect((await nativeDevice({ level }).describe()).kernels).toBe(level);
    expect((await nativeDevice({ level: "" }).describe()).kernels).toBe(levels.at(-1));
    expect(levels.length).toBeGreaterThanOrEqual(1);
    expect(new Set(levels).size).toBe(levels.length);
  });

  test.each(levels)("CLAVIS_CPU=%s lowers the level", async (level) => {
    vi.stubEnv("CLAVIS_CPU", level);
    const lowered = nativeDevice();
    vi.unstubAllEnvs();
    expect((await lowered.describe()).kernels).toBe(level);
  });

  test("an unknown level takes nothing away", async () => {
    const best = await nativeDevice({ level: "" }).describe();
    const odd = await nativeDevice({ level: "pentium" }).describe();
    expect(odd.kernels).toBe(best.kernels);
  });
});
