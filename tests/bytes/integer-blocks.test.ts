import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { dequantize } from "../../src/bytes/dequantize.ts";
import {
  decodeIntegers,
  type IntegerRow,
  isIntegerType,
  newIntegerRow,
  quantizeQ8_0,
} from "../../src/bytes/integer-blocks.ts";
import { rowBytes, type TensorType, tensorTypes } from "../../src/bytes/types.ts";
import { describeShared, sharedPath } from "../support/shared.ts";

const integerTypes = (Object.keys(tensorTypes) as TensorType[]).filter(isIntegerType);

/** Random blocks of a type. One f16 scale in 32 is infinite or NaN; tests pass those by. */
function randomBlocks(type: TensorType, values: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(rowBytes(type, values));
  let state = seed;
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** value i = d · scale · code − dmin · min, in doubles. */
const exactValue = ({ d, scales, codes, dmin, mins }: IntegerRow, i: number) =>
  d[i >> 5] * scales[i >> 4] * codes[i] - dmin[i >> 5] * mins[i >> 4];

describe("integer blocks", () => {
  test("are the nineteen types of the numerics contract", () => {
    expect(integerTypes.toSorted()).toEqual(
      // biome-ignore format: one line reads better
      ["IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ3_S", "IQ3_XXS", "IQ4_NL", "IQ4_XS", "MXFP4", "Q2_K", "Q3_K", "Q4_0", "Q4_1", "Q4_K", "Q5_0", "Q5_1", "Q5_K", "Q6_K", "Q8_0", "TQ2_0"],
    );
  });

  test.each(integerTypes)("%s gives the values of dequantize, rounded once", (type) => {
    const values = 2048;
    const blocks = randomBlocks(type, values, 7);
    const offset = 5; // blocks need no alignment
    const bytes = new Uint8Array(offset + blocks.length);
    bytes.set(blocks, offset);
    const expected = new Float32Array(values);
    dequantize(type, blocks, expected);
    const row = newIntegerRow(values);
    decodeIntegers(type, bytes, offset, values, row);
    let compared = 0;
    for (let i = 0; i < values; i++) {
      if (!Number.isFinite(expected[i])) continue;
      // The double is exact but for terms far apart, so rounding it to f32 gives the dequantised value.
      const rounded = Math.fround(exactValue(row, i));
      if (rounded !== expected[i]) expect.fail(`value ${i}: got ${rounded}, want ${expected[i]}`);
      compared++;
    }
    expect(compared).toBeGreaterThan(values / 2);
  });

  test("a type without integer form and a row that ends early are refused", () => {
    const row = newIntegerRow(256);
    expect(() => decodeIntegers("IQ1_S", new Uint8Array(50), 0, 256, row)).toThrow("block.not_integer");
    expect(() => decodeIntegers("Q4_0", new Uint8Array(18), 1, 32, row)).toThrow("block.bytes");
    expect(() => decodeIntegers("Q4_0", new Uint8Array(18), 0, 31, row)).toThrow("block.partial");
  });
});

const vectors = "conformance/gguf-quant-vectors";
describeShared(vectors, "types with tables: the reference vectors, from whole numbers", () => {
  const types = ["IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"] as const;
  test.each(types)("%s", (type) => {
    const blocks = new Uint8Array(readFileSync(sharedPath(`${vectors}/${type}.blocks.bin`)));
    const bytes = new Uint8Array(readFileSync(sharedPath(`${vectors}/${type}.dequant.f32.bin`)));
    const expected = new Float32Array(bytes.buffer);
    const row = newIntegerRow(expected.length);
    decodeIntegers(type, blocks, 0, expected.length, row);
    // d and the scales are exact, so a product in doubles is, and f32 holds it.
    expect(Float32Array.from(expected, (_, i) => exactValue(row, i))).toEqual(expected);
    // The sum of a block's 32 products with the largest activations is exact as f32.
    for (let block = 0; block < expected.length / 32; block++) {
      let most = 0;
      for (let i = 32 * block; i < 32 * block + 32; i++) {
        most += Math.abs(row.scales[i >> 4] * row.codes[i]) * 127;
      }
      expect(most).toBeLessThan(2 ** 24);
    }
  });
});

describeShared(vectors, "quantizeQ8_0: the reference quantiser's bytes", () => {
  test("for its input", () => {
    const input = readFileSync(sharedPath(`${vectors}/input.f32.bin`));
    const values = new Float32Array(new Uint8Array(input).buffer);
    const expected = new Uint8Array(readFileSync(sharedPath(`${vectors}/Q8_0.quantized.bin`)));
    expect(quantizeQ8_0(values)).toEqual(expected);
  });
});

describe("quantizeQ8_0", () => {
  test("zeros stay zeros, and the largest magnitude gets ±127", () => {
    expect(quantizeQ8_0(new Float32Array(32))).toEqual(new Uint8Array(34));
    const values = new Float32Array(32);
    values[3] = -2;
    values[4] = 1;
    const codes = new Int8Array(quantizeQ8_0(values).slice(2).buffer);
    expect([codes[3], codes[4], codes[5]]).toEqual([-127, 64, 0]); // 63.5 goes away from zero
  });
});
