import { readFileSync } from "node:fs";
import { test } from "vitest";
import { wasmDevice } from "../../src/devices/wasm/device.ts";
import { nodePlatform } from "../../src/devices/wasm/node-platform.ts";
import { expectGolden, type GoldenModel, Runner, syntheticFile, tolerance } from "../support/golden.ts";
import { describeShared, sharedPath } from "../support/shared.ts";

// All eight architectures with published vocabularies of 32,000 tokens, in the mode that is the default.
describeShared("conformance/logits/golden.json", "wasm: golden logits with published vocabularies", () => {
  const models = JSON.parse(
    readFileSync(sharedPath("conformance/logits/golden.json"), "utf8"),
  ) as GoldenModel[];
  const device = wasmDevice(nodePlatform, { threads: 2 });

  test.each(models)("$arch $type", async (model) => {
    const vocab = sharedPath(`conformance/tokenizers/${model.vocab}.gguf`);
    const runner = await Runner.open(await syntheticFile(model, vocab), device, { mode: "fast" });
    for (const golden of model.cases) await expectGolden(runner, golden, tolerance(model.arch, model.type));
    await runner.close();
  });
});
