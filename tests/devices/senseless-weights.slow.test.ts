import { describe, expect, test } from "vitest";
import { openGguf } from "../../src/bytes/gguf.ts";
import { bufferSource } from "../../src/bytes/source.ts";
import type { Device } from "../../src/devices/device.ts";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { reference } from "../../src/devices/reference/device.ts";
import { wasmDevice } from "../../src/devices/wasm/device.ts";
import { nodePlatform } from "../../src/devices/wasm/node-platform.ts";
import { Model } from "../../src/model.ts";
import { noise } from "../kernels/small-tape.ts";
import { storiesPath } from "../support/golden.ts";
import { addonFile, levels } from "../support/native.ts";
import { type Architecture, synthesize } from "../support/synthetic.ts";

// Whole models whose weights are no numbers, or any bytes at all: they run to the end and say what they find.
// Such weights are outside of the contract of docs/numerics.md, so devices may differ in what they compute.

const devices: readonly (readonly [string, Device])[] = [
  ["reference", reference],
  ["wasm", wasmDevice(nodePlatform, { threads: 0 })],
  ...(addonFile
    ? levels.map((level) => [`native, ${level}`, nativeDevice({ level, threads: 2 })] as const)
    : []),
];

const fills: Readonly<Record<string, () => (at: number) => number>> = {
  "NaN throughout": () => () => 0xff,
  "numbers too large to multiply": () => () => 0x7b,
  "any bytes": () => {
    const next = noise(5);
    return () => Math.floor((next() + 1) * 128);
  },
};

/** A model whose weights were overwritten. */
async function senseless(arch: Architecture, type: string, fill: (at: number) => number) {
  const bytes = await synthesize({ vocab: storiesPath, arch, shape: "1,64,64,2,1,32", type, seed: 1 });
  const { tensors } = await openGguf(bufferSource(bytes, "model.gguf"));
  for (const { offset, bytes: length } of tensors.values()) {
    for (let i = 0; i < length; i++) bytes[offset + i] = fill(i);
  }
  return bytes;
}

const prompt = Array.from({ length: 40 }, (_, i) => 300 + i);

async function answer(device: Device, bytes: Uint8Array, kvType: "f16" | "q8") {
  const options = { context: 64, kvType, mode: "reproducible" } as const;
  const model = await Model.open([bufferSource(bytes, "model.gguf")], [device], options);
  try {
    const logits = await model.logits(prompt);
    const outcome = await model.generate(prompt, { maxTokens: 2, ignoreEnd: true }).result.then(
      () => "tokens",
      (error) => error.code as string,
    );
    return { logits, outcome };
  } finally {
    await model.close();
  }
}

describe.each(["llama", "qwen3moe", "gemma3", "gpt2"] as const)("%s", (arch) => {
  test.each(Object.entries(fills))("%s", async (_, fill) => {
    for (const [type, kvType] of [
      ["f32", "f16"],
      ["q8_0", "q8"],
    ] as const) {
      const bytes = await senseless(arch, type, fill());
      for (const [name, device] of devices) {
        const { logits, outcome } = await answer(device, bytes, kvType);
        expect(outcome, `${name}, ${type}`).toMatch(/^(tokens|sample\.(nan|infinite|empty))$/);
        // A token needs a logit to be chosen by, and an error something to complain of.
        expect(logits.every(Number.isFinite), `${name}, ${type}`).toBe(outcome === "tokens");
      }
    }
  });
});
