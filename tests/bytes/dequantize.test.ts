import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { dequantize } from "../../src/bytes/dequantize.ts";
import { type TensorType, tensorTypes } from "../../src/bytes/types.ts";
import { describeShared, sharedPath } from "../support/shared.ts";

const vectors = "conformance/gguf-quant-vectors";

const f32File = (name: string) => {
  const bytes = readFileSync(sharedPath(`${vectors}/${name}`));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
};

const blocksFile = (type: TensorType) => {
  const quantized = sharedPath(`${vectors}/${type}.quantized.bin`);
  return existsSync(quantized) ? quantized : sharedPath(`${vectors}/${type}.blocks.bin`);
};

const plain: readonly TensorType[] = ["F32", "F64", "I8", "I16", "I32", "I64"];
const quantised = (Object.keys(tensorTypes) as TensorType[]).filter((type) => !plain.includes(type));

describeShared(vectors, "dequantize: the reference vectors, by bits", () => {
  test.each(quantised)("%s", (type) => {
    const blocks = new Uint8Array(readFileSync(blocksFile(type)));
    const expected = f32File(`${type}.dequant.f32.bin`);
    const found = new Float32Array(expected.length);
    dequantize(type, blocks, found);
    expect(firstDifference(found, expected)).toBe("equal");
  });
});

/** Where two arrays differ in bits (any NaN equals any NaN), as a line to read. */
function firstDifference(found: Float32Array, expected: Float32Array): string {
  for (let i = 0; i < expected.length; i++) {
    if (!Object.is(found[i], expected[i])) return `value ${i}: got ${found[i]}, want ${expected[i]}`;
  }
  return "equal";
}
