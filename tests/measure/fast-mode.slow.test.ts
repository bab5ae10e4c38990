import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { openModelFiles } from "../../src/bytes/node-file.ts";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { Model } from "../../src/model.ts";
import { storiesPath } from "../support/golden.ts";
import { addonFile } from "../support/native.ts";
import { describeShared, sharedPath } from "../support/shared.ts";

// What fast mode costs: the text's perplexity, read in steps of hundreds of rows, against reproducible mode's.

const kernelsOf = async (level?: string) => (await nativeDevice({ level }).describe()).fastKernels;

/** The native device as it is, and where AMX is not there the model of it, which is slow. */
const ways: { level?: string; windows: number }[] = [{ windows: 16 }];
if ((await kernelsOf("amx-model"))?.includes("amxbf16-model")) ways.push({ level: "amx-model", windows: 5 });

const open = async (level: string | undefined, mode: "fast" | "reproducible") =>
  Model.open(await openModelFiles(storiesPath), [nativeDevice({ level })], {
    mode,
    sequences: 1,
    logitRows: 256,
  });

describeShared("models/valid-plain.txt", "fast mode against reproducible mode", () => {
  test.skipIf(addonFile === undefined).each(ways)(
    "native, $level: perplexity within 0.2 %",
    async ({ level, windows }) => {
      const { fastKernels } = await nativeDevice({ level }).describe();
      if (level !== undefined && fastKernels === undefined) return;
      await using fast = await open(level, "fast");
      await using reproducible = await open(level, "reproducible");
      const ids = reproducible
        .tokenize(readFileSync(sharedPath("models/valid-plain.txt"), "utf8"))
        .subarray(0, windows * 512);
      const found = await fast.divergence(reproducible, ids);
      expect(found.perplexity.windows).toBe(windows);
      expect(Math.abs(found.perplexity.perplexity / found.originalPerplexity.perplexity - 1)).toBeLessThan(
        2e-3,
      );
      // The modes differ exactly where there are kernels for this model's weights.
      if (!fast.info.kernels.includes("+")) expect(found.maxKl).toBe(0);
      else expect(found.meanKl).toBeGreaterThan(0);
      expect(found.meanKl).toBeLessThan(1e-3);
      expect(found.sameTop).toBeGreaterThan(0.98);
    },
  );
});
