import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reference } from "../../src/devices/reference/device.ts";
import { wasmDevice } from "../../src/devices/wasm/device.ts";
import { nodePlatform } from "../../src/devices/wasm/node-platform.ts";
import { goldenModels, Runner, storiesPath, syntheticFile } from "../support/golden.ts";

// Whole models on the wasm device: the same bits as the reference device for every logit.

const builds = ["relaxed", "simd"] as const;
const threadCounts = [0, 1, 2, 3, 4];

/** A prompt in one step, one token, a few more in one step, one token. */
function* steps(vocabulary: number): Generator<number[]> {
  let state = 1;
  for (const length of [21, 1, 9, 1, 1]) {
    yield Array.from({ length }, () => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return Math.floor(state / 1000) % vocabulary;
    });
  }
}

async function logitsOf(runner: Runner): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const ids of steps(2000)) all.push(await runner.step(ids));
  return all;
}

function expectSameBits(got: readonly Float32Array[], want: readonly Float32Array[]): void {
  want.forEach((logits, step) => {
    const [g, w] = [new Uint32Array(got[step].buffer), new Uint32Array(logits.buffer)];
    const apart = w.findIndex((bits, id) => bits !== g[id]);
    const shown = apart < 0 ? "" : `step ${step}, id ${apart}: ${got[step][apart]}, want ${logits[apart]}`;
    expect(shown).toBe("");
    expect(g.length).toBe(w.length);
  });
}

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
