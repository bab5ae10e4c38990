import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "vitest";
import { writeGguf } from "../../src/bytes/gguf-writer.ts";
import { writeFileWhole } from "../../src/bytes/node-file-sink.ts";
import { reference } from "../../src/devices/reference/device.ts";
import { expectGolden, type GoldenCase, Runner, tolerance } from "../support/golden.ts";
import { rotaryVariant, rotaryVariants } from "../support/rotary-variants.ts";
import { root } from "../support/shared.ts";

// What llama.cpp made of the same files, in the form of synthetic-logits.json.
const golden: Record<string, GoldenCase[]> = JSON.parse(
  readFileSync(join(root, "tests/golden/rotary-variants.json"), "utf8"),
);

describe("rotary scaling: golden logits", () => {
  test.each(Object.entries(rotaryVariants))("%s", async (name, variant) => {
    const folder = mkdtempSync(join(tmpdir(), "clavis-"));
    try {
      const path = join(folder, "model.gguf");
      const model = await rotaryVariant(variant);
      await writeFileWhole(path, (sink) => writeGguf(sink, model));
      const runner = await Runner.open(path, reference);
      for (const one of golden[name]) await expectGolden(runner, one, tolerance(variant.arch, "f32"));
      await runner.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
