import { expect, test, vi } from "vitest";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { SmallTape, values } from "../kernels/small-tape.ts";
import { everyKernels } from "../support/devices.ts";
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

  const hasModel = everyKernels.some(({ name }) => name === "native, amx-model");
  test.runIf(hasModel)("kernels for many rows are named where the mode takes them", async () => {
    const tape = new SmallTape(1);
    const a = tape.input(32, values(32, 1));
    const q8 = tape.region(32, "q8");
    tape.call("quantize", { out: q8, a }, { n: 32, repeat: 1 });
    const plan = tape.plan(tape.shown(q8));
    const lastName = (level: string, mode: "fast" | "reproducible") =>
      nativeDevice({ level })
        .kernelNames({ ...plan, mode })
        .at(-1);
    // Q8_0 gains nothing from panels with AVX2.
    expect(lastName("avx2", "fast")).toBe("matmul_f32_q8_q80_avx2");
    expect(lastName("avx512vnni", "reproducible")).toBe("matmul_f32_q8_q80_avx512vnni+avx512panel");
    expect(lastName("avx512vnni", "fast")).toBe("matmul_f32_q8_q80_avx512vnni+avx512panel");
    expect(lastName("amx-model", "reproducible")).toBe("matmul_f32_q8_q80_avx512vnni+amxint8-model");
    expect(lastName("amx-model", "fast")).toBe("matmul_f32_q8_q80_avx512vnni+amxbf16-model");
    expect(await nativeDevice({ level: "amx-model" }).describe()).toMatchObject({
      ...{ kernels: "avx512vnni", exactKernels: "amxint8-model" },
    });
  });
});
