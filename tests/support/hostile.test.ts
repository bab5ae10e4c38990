import { expect, test } from "vitest";
import { openGguf } from "../../src/bytes/gguf.ts";
import { type GgufInput, memorySink, writeGguf } from "../../src/bytes/gguf-writer.ts";
import { bufferSource, read } from "../../src/bytes/source.ts";
import { endlessSource, withMetadata, withoutMetadata, withoutTensor, withTensor } from "./hostile.ts";

const model: GgufInput = {
  metadata: [
    ["a", "u32", 1],
    ["b", "u32", 2],
  ],
  tensors: ["x", "y"].map((name) => ({ name, type: "F32", shape: [2], data: [new Uint8Array(8).fill(7)] })),
};

async function reopened(changed: GgufInput) {
  const sink = memorySink();
  await writeGguf(sink, changed);
  return openGguf(bufferSource(sink.bytes()));
}

test("a model with one thing changed has just that changed", async () => {
  expect([...(await reopened(withMetadata(model, "a", "string", "text"))).metadata.entries()]).toEqual([
    ["b", "u32", 2],
    ["a", "string", "text"],
  ]);
  expect([...(await reopened(withoutMetadata(model, "a"))).metadata.keys()]).toEqual(["b"]);
  expect([...(await reopened(withoutTensor(model, "x"))).tensors.keys()]).toEqual(["y"]);
  expect([...(await reopened(withTensor(model, "x", { name: "z" }))).tensors.keys()]).toEqual(["z", "y"]);

  const resized = (await reopened(withTensor(model, "x", { type: "Q8_0", shape: [64, 3] }))).tensors.get(
    "x",
  )!;
  expect(resized).toMatchObject({ type: "Q8_0", shape: [64, 3], bytes: 204 });
  expect(await read(resized.source, resized.offset, resized.bytes)).toEqual(new Uint8Array(204));
});

test("an endless source repeats itself from any offset", async () => {
  const source = endlessSource(Uint8Array.of(9, 8), Uint8Array.of(1, 2, 3), 2 ** 40);
  expect([...(await read(source, 0, 10))]).toEqual([9, 8, 1, 2, 3, 1, 2, 3, 1, 2]);
  expect([...(await read(source, 1, 3))]).toEqual([8, 1, 2]);
  expect([...(await read(source, 2 + 3 * 2 ** 30 + 1, 4))]).toEqual([2, 3, 1, 2]);
});
