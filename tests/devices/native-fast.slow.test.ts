import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nativeDevice } from "../../src/devices/native/device.ts";
import {
  expectGolden,
  type GoldenCase,
  goldenModels,
  Runner,
  storiesPath,
  syntheticFile,
  tolerance,
} from "../support/golden.ts";
import { describeNative } from "../support/native.ts";
import { expectSameBits, logitsOf } from "../support/same-bits.ts";
import { root } from "../support/shared.ts";

// Fast mode on the native device, with the best products of this machine and with AMX modelled.

/** Both ways; the model needs AVX-512 for bf16. */
const levels: string[] = ["", "amx-model"];
const { fastKernels } = await nativeDevice({ level: "amx-model" }).describe();
const hasModel = fastKernels?.includes("amxbf16-model") ?? false;
const asked = hasModel ? levels : [""];

const stories = { arch: "llama", type: "q8_0", file: "clavis-stories-q8_0.gguf" };

function storiesCases(): readonly GoldenCase[] {
  const all = JSON.parse(readFileSync(join(root, "tests/golden/logits.json"), "utf8"));
  return all.find((one: { file: string }) => one.file === stories.file).cases;
}

/** Ids below 2,000 that look like nothing. */
function someIds(length: number): number[] {
  let state = 7;
  return Array.from({ length }, () => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return Math.floor(state / 1000) % 2000;
  });
}

async function logitsAfter(path: string, level: string, mode: "fast" | "reproducible", ids: number[]) {
  const runner = await Runner.open(path, nativeDevice({ level, threads: 2 }), { mode });
  const logits = await runner.step(ids);
  await runner.close();
  return logits;
}

describeNative.each(asked)("native, fast mode, level %j", (level) => {
  const device = nativeDevice({ level, threads: 2 });

  test.each(goldenModels)("$arch $type: golden logits", async (model) => {
    const runner = await Runner.open(await syntheticFile(model), device, { mode: "fast" });
    for (const golden of model.cases) await expectGolden(runner, golden, tolerance(model.arch, model.type));
    await runner.close();
  });

  test("clavis-stories: golden logits", async () => {
    const runner = await Runner.open(storiesPath, device, { mode: "fast", context: 512 });
    for (const golden of storiesCases()) await expectGolden(runner, golden, tolerance("llama", "q8_0"));
    await runner.close();
  });

  test.each(goldenModels)("$arch $type: a prompt of 200 as in reproducible mode", async (model) => {
    const path = await syntheticFile(model);
    const ids = someIds(200);
    const got = await logitsAfter(path, level, "fast", ids);
    const want = await logitsAfter(path, level, "reproducible", ids);
    const apart = got.map((logit, id) => Math.abs(logit - want[id]));
    expect(Math.max(...apart)).toBeLessThanOrEqual(tolerance(model.arch, model.type));
    // Fast products round otherwise than reproducible ones; if nothing differs they did not run.
    if (level === "amx-model") expect(Math.max(...apart)).toBeGreaterThan(0);
  });
});

describeNative("native, reproducible mode", () => {
  test.runIf(hasModel).each(goldenModels.filter(({ arch }) => arch === "llama"))(
    "$type: the bits are the same with and without fast products at hand",
    async (model) => {
      const path = await syntheticFile(model);
      const want = await Runner.open(path, nativeDevice({ level: "avx2", threads: 2 }));
      const got = await Runner.open(path, nativeDevice({ level: "amx-model", threads: 2 }));
      expectSameBits(await logitsOf(got), await logitsOf(want));
      await Promise.all([got.close(), want.close()]);
    },
  );
});
