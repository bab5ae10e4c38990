import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openGguf } from "../../src/bytes/gguf.ts";
import { type GgufInput, memorySink, type TensorInput, writeGguf } from "../../src/bytes/gguf-writer.ts";
import type { MetadataEntry, MetadataValue } from "../../src/bytes/metadata.ts";
import { bufferSource, read } from "../../src/bytes/source.ts";
import { rowBytes, type TensorType, tensorTypes } from "../../src/bytes/types.ts";
import { ClavisError } from "../../src/errors.ts";

async function written(input: GgufInput): Promise<Uint8Array> {
  const sink = memorySink();
  await writeGguf(sink, input);
  return sink.bytes();
}

// ---- any model

const text = fc.string({ unit: "binary" }); // any code points but surrogates
const integers = { u8: 8, i8: 8, u16: 16, i16: 16, u32: 32, i32: 32, u64: 64, i64: 64 } as const;
type IntegerType = keyof typeof integers;

const integer = (type: IntegerType) => {
  const bits = BigInt(integers[type]);
  const signed = type.startsWith("i");
  const min = signed ? -(2n ** (bits - 1n)) : 0n;
  const max = signed ? 2n ** (bits - 1n) - 1n : 2n ** bits - 1n;
  return fc.bigInt({ min, max });
};
/** As the reader gives it: a number wherever that is exact. */
const narrow = (value: bigint) => (Number.isSafeInteger(Number(value)) ? Number(value) : value);

const scalarValue: fc.Arbitrary<[MetadataEntry[1], MetadataValue]> = fc.oneof(
  ...(Object.keys(integers) as IntegerType[]).map((type) =>
    integer(type).map((value): [MetadataEntry[1], MetadataValue] => [type, narrow(value)]),
  ),
  fc.float().map((value): [MetadataEntry[1], MetadataValue] => ["f32", value]),
  fc.double().map((value): [MetadataEntry[1], MetadataValue] => ["f64", value]),
  fc.boolean().map((value): [MetadataEntry[1], MetadataValue] => ["bool", value]),
  text.map((value): [MetadataEntry[1], MetadataValue] => ["string", value]),
);

const arrayValue: fc.Arbitrary<[MetadataEntry[1], MetadataValue]> = fc.oneof(
  fc.uint8Array().map((value): [MetadataEntry[1], MetadataValue] => ["u8[]", value]),
  fc.int16Array().map((value): [MetadataEntry[1], MetadataValue] => ["i16[]", value]),
  fc.uint32Array().map((value): [MetadataEntry[1], MetadataValue] => ["u32[]", value]),
  fc.float32Array().map((value): [MetadataEntry[1], MetadataValue] => ["f32[]", value]),
  fc.bigInt64Array().map((value): [MetadataEntry[1], MetadataValue] => ["i64[]", value]),
  fc.array(text).map((value): [MetadataEntry[1], MetadataValue] => ["string[]", value]),
  fc.array(fc.boolean()).map((value): [MetadataEntry[1], MetadataValue] => ["bool[]", value]),
  fc
    .array(fc.oneof(fc.int32Array(), fc.array(text, { minLength: 1 })))
    .map((value): [MetadataEntry[1], MetadataValue] => ["array[]", value]),
);

const anyMetadata: fc.Arbitrary<MetadataEntry[]> = fc.uniqueArray(
  fc
    .tuple(
      text.filter((key) => key !== "" && key !== "general.alignment"),
      fc.oneof(scalarValue, arrayValue),
    )
    .map(([key, [type, value]]): MetadataEntry => [key, type, value]),
  { selector: ([key]) => key },
);

interface KnownTensor extends TensorInput {
  readonly bytes: Uint8Array;
}

const anyTensors: fc.Arbitrary<KnownTensor[]> = fc.uniqueArray(
  fc
    .record({
      name: text,
      type: fc.constantFrom(...(Object.keys(tensorTypes) as TensorType[])),
      blocks: fc.integer({ min: 1, max: 3 }),
      further: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
      pieces: fc.integer({ min: 1, max: 5 }),
      seed: fc.nat(255),
    })
    .map(({ name, type, blocks, further, pieces, seed }) => {
      const shape = [blocks * tensorTypes[type].block, ...further];
      const values = shape.reduce((product, dimension) => product * dimension, 1);
      const bytes = new Uint8Array(rowBytes(type, values)).map((_, i) => (i * 31 + seed) & 255);
      const step = Math.ceil(bytes.length / pieces);
      async function* data() {
        for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
      }
      return { name, type, shape, data, bytes };
    }),
  { selector: ({ name }) => name, maxLength: 6 },
);

describe("writeGguf", () => {
  test("whatever is written is read back", async () => {
    await fc.assert(
      fc.asyncProperty(
        anyMetadata,
        anyTensors,
        fc.constantFrom(undefined, 1, 8, 32, 4096),
        async (metadata, tensors, alignment) => {
          const gguf = await openGguf(bufferSource(await written({ metadata, tensors, alignment })));
          const entries = [...gguf.metadata.entries()].filter(([key]) => key !== "general.alignment");
          expect(entries).toEqual(metadata);
          expect([...gguf.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
          for (const { name, type, shape, bytes } of tensors) {
            const tensor = gguf.tensors.get(name)!;
            expect(tensor).toMatchObject({ type, shape, bytes: bytes.length });
            expect(tensor.offset % (alignment ?? 32)).toBe(0);
            expect(await read(tensor.source, tensor.offset, tensor.bytes)).toEqual(bytes);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("what was read is written again, byte for byte", async () => {
    await fc.assert(
      fc.asyncProperty(anyMetadata, anyTensors, async (metadata, tensors) => {
        const first = await written({ metadata, tensors });
        const gguf = await openGguf(bufferSource(first));
        const again = [...gguf.tensors.values()].map(
          (tensor): TensorInput => ({
            ...tensor,
            data: async function* () {
              yield await read(tensor.source, tensor.offset, tensor.bytes);
            },
          }),
        );
        expect(await written({ metadata: gguf.metadata.entries(), tensors: again })).toEqual(first);
      }),
      { numRuns: 40 },
    );
  });

  test("a damaged file never gives anything but a reading or a ClavisError", async () => {
    await fc.assert(
      fc.asyncProperty(
        anyMetadata,
        anyTensors,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.option(fc.nat()),
        async (metadata, tensors, changes, cut) => {
          const bytes = await written({ metadata, tensors });
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          const damaged = cut === null ? bytes : bytes.subarray(0, cut % bytes.length);
          await openGguf(bufferSource(damaged)).catch((error: unknown) =>
            expect(error).toBeInstanceOf(ClavisError),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  const tensor = (changes: Partial<TensorInput> = {}): TensorInput => ({
    name: "t",
    type: "F32",
    shape: [2],
    data: [new Uint8Array(8)],
    ...changes,
  });

  test.each<[string, string, MetadataEntry[], TensorInput[]]>([
    ["a number too large for its type", "gguf.write_value", [["k", "u8", 256]], []],
    ["a negative number", "gguf.write_value", [["k", "u32", -1]], []],
    ["a fraction", "gguf.write_value", [["k", "i32", 0.5]], []],
    ["a double beyond f32", "gguf.write_value", [["k", "f32", 1e300]], []],
    ["an unsafe integer", "gguf.write_value", [["k", "u64", 2 ** 60]], []],
    ["text for a number", "gguf.write_value", [["k", "u32", "1"]], []],
    ["a number for text", "gguf.write_value", [["k", "string", 1]], []],
    ["a number for a truth value", "gguf.write_value", [["k", "bool", 1]], []],
    ["one value for an array", "gguf.write_value", [["k", "u32[]", 1]], []],
    ["a wrong item", "gguf.write_value", [["k", "string[]", ["a", 1]]], []],
    ["half a surrogate pair", "gguf.write_text", [["k", "string", "\ud800"]], []],
    [
      "a key twice",
      "gguf.write_duplicate",
      [
        ["k", "u8", 1],
        ["k", "u8", 2],
      ],
      [],
    ],
    ["a tensor twice", "gguf.write_duplicate", [], [tensor(), tensor()]],
    ["no dimensions", "gguf.write_shape", [], [tensor({ shape: [] })]],
    ["five dimensions", "gguf.write_shape", [], [tensor({ shape: [2, 1, 1, 1, 1] })]],
    ["a dimension of 0", "gguf.write_shape", [], [tensor({ shape: [2, 0] })]],
    ["half a block", "gguf.write_shape", [], [tensor({ type: "Q4_0", shape: [16] })]],
    ["a row of 2^53 doubles", "gguf.write_shape", [], [tensor({ type: "F64", shape: [2 ** 53 - 1] })]],
    ["an alignment of 3", "gguf.write_alignment", [["general.alignment", "u32", 3]], []],
  ])("%s is refused before the first byte: %s", async (_, code, metadata, tensors) => {
    let calls = 0;
    const sink = { write: async () => void calls++ };
    await expect(writeGguf(sink, { metadata, tensors })).rejects.toMatchObject({ code });
    expect(calls).toBe(0);
  });

  test("two alignments that differ are refused, the same one twice is fine", async () => {
    const metadata: MetadataEntry[] = [["general.alignment", "u32", 64]];
    const refused = writeGguf(memorySink(), { metadata, tensors: [], alignment: 32 });
    await expect(refused).rejects.toMatchObject({ code: "gguf.write_alignment" });
    const { length } = await written({ metadata, tensors: [tensor()], alignment: 64 });
    expect(length).toBe(128 + 64);
  });

  test("data of another length than the shape's is refused", async () => {
    for (const data of [[], [new Uint8Array(7)], [new Uint8Array(8), new Uint8Array(1)]]) {
      const refused = writeGguf(memorySink(), { metadata: [], tensors: [tensor({ data })] });
      await expect(refused).rejects.toMatchObject({ code: "gguf.write_length" });
    }
  });

  test("data that never ends is stopped at the tensor's size", async () => {
    function* endless() {
      for (;;) yield new Uint8Array(4);
    }
    const sink = memorySink();
    const refused = writeGguf(sink, { metadata: [], tensors: [tensor({ data: endless })] });
    await expect(refused).rejects.toMatchObject({ code: "gguf.write_length" });
    expect(sink.bytes().length).toBeLessThan(200);
  });

  test("a tensor's data is asked for only when its turn has come", async () => {
    const order: string[] = [];
    const asked = (name: string) =>
      tensor({
        name,
        data: function* () {
          order.push(`${name} begins`);
          yield new Uint8Array(8);
          order.push(`${name} ends`);
        },
      });
    await written({ metadata: [], tensors: [asked("a"), asked("b")] });
    expect(order).toEqual(["a begins", "a ends", "b begins", "b ends"]);
  });
});
