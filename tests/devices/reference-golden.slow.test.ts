import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "vitest";
import { reference } from "../../src/devices/reference/device.ts";
import {
  expectGolden,
  goldenModels,
  Runner,
  storiesPath,
  syntheticFile,
  tolerance,
} from "../support/golden.ts";
import { root } from "../support/shared.ts";

describe("reference: golden logits of synthetic models", () => {
  test.each(goldenModels)("$arch $type", async (model) => {
    const runner = await Runner.open(await syntheticFile(model), reference);
    for (const golden of model.cases) await expectGolden(runner, golden, tolerance(model.arch, model.type));
    await runner.close();
  });
});

test("reference: golden logits of clavis-stories", async () => {
  const all = JSON.parse(readFileSync(join(root, "tests/golden/logits.json"), "utf8"));
  const { cases } = all.find((one: { file: string }) => one.file === "clavis-stories-q8_0.gguf");
  const runner = await Runner.open(storiesPath, reference, { context: 512 });
  for (const golden of cases) await expectGolden(runner, golden, tolerance("llama", "q8_0"));
  await runner.close();
});
