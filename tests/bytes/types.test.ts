import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { dequantize } from "../../src/bytes/dequantize.ts";
import { bits, block, f16, u8 } from "../../src/bytes/layouts/block.ts";
import * as codebooks from "../../src/bytes/layouts/codebooks.ts";
import { rowBytes, tensorTypeOf, tensorTypes } from "../../src/bytes/types.ts";
import { describeShared, sharedPath } from "../support/shared.ts";

describe("layouts", () => {
  test("compute their size and the places of their fields", () => {
    const layout = block(32, f16("scale"), bits(4, "q"), u8("rest", 3));
    expect(layout).toEqual({ values: 32, bytes: 21, at: { scale: 0, q: 2, rest: 18 } });
  });

  // Source: the static assertions beside the structures in ggml-common.h; ids in ggml.h.
  test.each([
    ["F32", 0, 1, 4],
    ["F16", 1, 1, 2],
    ["Q4_0", 2, 32, 18],
    ["Q4_1", 3, 32, 20],
    ["Q5_0", 6, 32, 22],
    ["Q5_1", 7, 32, 24],
    ["Q8_0", 8, 32, 34],
    ["Q2_K", 10, 256, 84],
    ["Q3_K", 11, 256, 110],
    ["Q4_K", 12, 256, 144],
    ["Q5_K", 13, 256, 176],
    ["Q6_K", 14, 256, 210],
    ["IQ2_XXS", 16, 256, 66],
    ["IQ2_XS", 17, 256, 74],
    ["IQ3_XXS", 18, 256, 98],
    ["IQ1_S", 19, 256, 50],
    ["IQ4_NL", 20, 32, 18],
    ["IQ3_S", 21, 256, 110],
    ["IQ2_S", 22, 256, 82],
    ["IQ4_XS", 23, 256, 136],
    ["I8", 24, 1, 1],
    ["I16", 25, 1, 2],
    ["I32", 26, 1, 4],
    ["I64", 27, 1, 8],
    ["F64", 28, 1, 8],
    ["IQ1_M", 29, 256, 56],
    ["BF16", 30, 1, 2],
    ["TQ1_0", 34, 256, 54],
    ["TQ2_0", 35, 256, 66],
    ["MXFP4", 39, 32, 17],
    ["NVFP4", 40, 64, 36],
  ] as const)("%s: type %i, %i values in %i bytes", (type, id, values, bytes) => {
    expect(tensorTypes[type]).toEqual({ id, block: values, bytes });
    expect(tensorTypeOf(id)).toBe(type);
    expect(rowBytes(type, 3 * values)).toBe(3 * bytes);
  });

  test("there are 31 types, and numbers between them mean nothing", () => {
    expect(Object.keys(tensorTypes)).toHaveLength(31);
    expect([4, 5, 9, 15, 31, 36, 41, -1].map(tensorTypeOf)).toEqual(new Array(8).fill(undefined));
  });

  test("part of a block is refused", () => {
    expect(() => rowBytes("Q4_K", 128)).toThrow(
      "block.partial: 128 values of type Q4_K; expected a multiple of 256",
    );
  });
});

describe("dequantize", () => {
  test.each([
    ["F32", new Float32Array([1.5, -2]), [1.5, -2]],
    ["F64", new Float64Array([0.1, -2]), [Math.fround(0.1), -2]],
    ["I8", new Int8Array([-128, 127]), [-128, 127]],
    ["I16", new Int16Array([-32_768, 258]), [-32_768, 258]],
    ["I32", new Int32Array([-1, 2 ** 24 + 1]), [-1, 2 ** 24]],
    ["I64", new BigInt64Array([-1n, 2n ** 40n]), [-1, 2 ** 40]],
  ] as const)("%s", (type, values, expected) => {
    // One byte further on, so that nothing relies on alignment.
    const bytes = new Uint8Array(values.byteLength + 1);
    bytes.set(new Uint8Array(values.buffer), 1);
    const out = new Float32Array(2);
    dequantize(type, bytes.subarray(1), out);
    expect([...out]).toEqual(expected);
  });

  test("bytes that do not match the values are refused", () => {
    expect(() => dequantize("Q8_0", new Uint8Array(33), new Float32Array(32))).toThrow("block.bytes");
    expect(() => dequantize("Q8_0", new Uint8Array(34), new Float32Array(31))).toThrow("block.partial");
  });
});

const file = "conformance/gguf-codebooks/codebooks.json";
describeShared(file, "codebooks are the published tables", () => {
  interface Published {
    signs: number[];
    iq4_nl: number[];
    codebooks: Record<string, { width: number; entries: string[] }>;
  }

  test("all of them", () => {
    const published = JSON.parse(readFileSync(sharedPath(file), "utf8")) as Published;
    // An entry is printed as one number: its last two digits are the first value.
    const values = ({ entries }: { entries: string[] }) =>
      Int8Array.from(entries.flatMap((entry) => [...Buffer.from(entry, "hex").reverse()]));
    const ours: Record<string, Int8Array> = {
      iq2_xxs: codebooks.iq2xxsGrid(),
      iq2_xs: codebooks.iq2xsGrid(),
      iq2_s: codebooks.iq2sGrid(),
      iq3_xxs: codebooks.iq3xxsGrid(),
      iq3_s: codebooks.iq3sGrid(),
      "iq1_s and iq1_m": codebooks.iq1Grid(),
    };
    expect(Object.keys(ours).toSorted()).toEqual(Object.keys(published.codebooks).toSorted());
    for (const [name, book] of Object.entries(published.codebooks))
      expect(ours[name], name).toEqual(values(book));
    expect([...codebooks.signs]).toEqual(published.signs);
    expect([...codebooks.iq4Values]).toEqual(published.iq4_nl);
  });
});
