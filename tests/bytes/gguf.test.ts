import { describe, expect, test } from "vitest";
import { openGguf } from "../../src/bytes/gguf.ts";
import { bufferSource, read } from "../../src/bytes/source.ts";
import { ClavisError } from "../../src/errors.ts";
import { endlessSource, lies, RawFile, smallFile } from "../support/hostile.ts";

const openBytes = (...files: RawFile[]) =>
  openGguf(files.map((file, i) => bufferSource(file.bytes(), `part-${i}.gguf`)));

describe("gguf: reading", () => {
  test.each([2, 3])("version %i: every kind of value, and the tensors", async (version) => {
    const gguf = await openBytes(smallFile(version));
    expect(gguf.version).toBe(version);
    expect(Object.fromEntries([...gguf.metadata.keys()].map((key) => [key, gguf.metadata.get(key)]))).toEqual(
      {
        "general.architecture": "llama",
        "general.alignment": 32,
        "a.u8": 200,
        "a.i8": -56,
        "a.u16": 513,
        "a.i16": -1,
        "a.i32": -1,
        "a.f32": 1,
        "a.bool": true,
        "a.u64": 2n ** 60n,
        "a.i64": 7,
        "a.f64": 1,
        "a.strings": ["é", "", "字"],
        "a.floats": Float32Array.of(1, 2),
        "a.bools": [false, true],
        "a.longs": BigUint64Array.of(3n),
        "a.nested": [Uint32Array.of(5), ["x"]],
      },
    );
    const tensors = [...gguf.tensors.values()].map(({ source, ...tensor }) => tensor);
    const start = gguf.bytes - (96 + 210);
    expect(tensors).toEqual([
      { name: "first", type: "Q4_0", shape: [32, 2], values: 64, bytes: 36, offset: start },
      { name: "second", type: "F32", shape: [3], values: 3, bytes: 12, offset: start + 64 },
      { name: "third", type: "Q6_K", shape: [256], values: 256, bytes: 210, offset: start + 96 },
    ]);
  });

  test("a file of metadata only may end unaligned", async () => {
    const gguf = await openBytes(new RawFile().header(0, 1).key("k", 4).u32(1));
    expect(gguf.metadata.number("k")).toBe(1);
    expect(gguf.tensors.size).toBe(0);
  });

  test("an alignment other than 32 places the data", async () => {
    const file = new RawFile().header(1, 1).key("general.alignment", 4).u32(256).tensor("t", [1], 0, 256);
    file.align(256).raw(new Uint8Array(256)).raw([1, 2, 3, 4]);
    const tensor = (await openBytes(file)).tensors.get("t")!;
    expect(await read(tensor.source, tensor.offset, tensor.bytes)).toEqual(Uint8Array.of(1, 2, 3, 4));
  });

  test("a tensor without dimensions is one number", async () => {
    const gguf = await openBytes(new RawFile().header(1, 0).tensor("t", [], 0, 0).align().u32(0));
    expect(gguf.tensors.get("t")).toMatchObject({ shape: [1], values: 1, bytes: 4 });
  });

  test("a header longer than the window, with strings and arrays across its edges", async () => {
    const count = 40_000; // 0.7 MB: several windows
    const file = new RawFile().header(0, 3).arrayKey("texts", 8, count);
    for (let i = 0; i < count; i++) file.text(`token ${i}`);
    file.key("long", 8).text("ü".repeat(300_000));
    file.arrayKey("numbers", 4, 100_000);
    for (let i = 0; i < 100_000; i++) file.u32(i);
    const { metadata } = await openBytes(file);
    const texts = metadata.strings("texts");
    expect(texts.length).toBe(count);
    expect(texts.every((text, i) => text === `token ${i}`)).toBe(true);
    expect(metadata.string("long")).toBe("ü".repeat(300_000));
    const numbers = metadata.numbers("numbers");
    expect([...numbers].every((number, i) => number === i)).toBe(true);
    expect(numbers.length).toBe(100_000);
  });

  test("only the header is read", async () => {
    const file = new RawFile()
      .header(1, 0)
      .tensor("t", [2 ** 38], 24, 0)
      .align();
    const gguf = await openGguf(endlessSource(file.bytes(), Uint8Array.of(1, 2, 3), 2 ** 40));
    const tensor = gguf.tensors.get("t")!;
    expect(tensor.bytes).toBe(2 ** 38);
    expect(await read(tensor.source, tensor.offset + 2 ** 37, 3)).toHaveLength(3);
  });

  // Measured 60 ms of processor time warm; the limit leaves room for a cold start and the runner.
  test("a vocabulary of 150,000 tokens takes well under a second", async () => {
    const file = new RawFile().header(0, 1).arrayKey("t", 8, 150_000);
    for (let i = 0; i < 150_000; i++) file.text(`Ġtoken${i}`);
    const source = bufferSource(file.bytes());
    const before = process.cpuUsage();
    await openGguf(source);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(400);
  });
});

describe("gguf: refusing", () => {
  test.each([...lies()])("$title: $code", async ({ bytes, code }) => {
    const error = await openGguf(bufferSource(bytes, "hostile.gguf")).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ClavisError);
    expect((error as ClavisError).code).toBe(code);
  });

  test("no sources", async () => {
    await expect(openGguf([])).rejects.toThrow("gguf.no_source");
  });

  test("a tensor ending past the file is named with both sizes", async () => {
    const file = new RawFile().header(1, 0).tensor("blk.17.ffn_down.weight", [32, 1000], 2, 0).align();
    await expect(openGguf(bufferSource(file.bytes(), "model.gguf"))).rejects.toThrow(
      'gguf.tensor_bounds: tensor "blk.17.ffn_down.weight" ends at byte 18,096; ' +
        'expected at most 96, the size of "model.gguf". The file is 17.6 KiB short; download it again.',
    );
  });

  test("control characters and long names stay out of messages", async () => {
    const file = new RawFile().header(1, 0).tensor(`\u001b[2J${"x".repeat(9999)}`, [1], 99, 0);
    const error = await openBytes(file).catch((error: ClavisError) => error as ClavisError);
    expect((error as ClavisError).found).toMatch(/^tensor "\\u001b\[2Jx+…" has type number 99$|characters\)/);
    expect((error as ClavisError).message.length).toBeLessThan(600);
  });
});

describe("gguf: split models", () => {
  const part = (number: number, count: number, tensors: number, names: string[]) => {
    const file = new RawFile().header(names.length, number === 0 ? 4 : 3);
    file.key("split.no", 2).raw([number, 0]).key("split.count", 2).raw([count, 0]);
    file.key("split.tensors.count", 5).u32(tensors);
    if (number === 0) file.key("general.name", 8).text("whole");
    for (const [i, name] of names.entries()) file.tensor(name, [1], 0, 32 * i);
    return file.align().raw(new Uint8Array(32 * names.length).fill(number));
  };

  test("parts in any order become one model", async () => {
    const gguf = await openBytes(part(2, 3, 4, ["d"]), part(0, 3, 4, ["a", "b"]), part(1, 3, 4, ["c"]));
    expect([...gguf.tensors.keys()]).toEqual(["a", "b", "c", "d"]);
    expect(gguf.metadata.string("general.name")).toBe("whole");
    expect(gguf.sources.map((source) => source.name)).toEqual(["part-1.gguf", "part-2.gguf", "part-0.gguf"]);
    const { source, offset, bytes } = gguf.tensors.get("c")!;
    expect(await read(source, offset, bytes)).toEqual(new Uint8Array(4).fill(1));
  });

  test.each([
    ["a part too few", "gguf.split_count", [part(0, 3, 4, ["a"]), part(1, 3, 4, ["b"])]],
    ["a part twice", "gguf.split_number", [part(0, 2, 2, ["a"]), part(0, 2, 2, ["b"])]],
    ["a part number past the end", "gguf.split_number", [part(0, 2, 2, ["a"]), part(2, 2, 2, ["b"])]],
    ["parts of two models", "gguf.split_count", [part(0, 2, 2, ["a"]), part(1, 3, 2, ["b"])]],
    ["a tensor in two parts", "gguf.duplicate_tensor", [part(0, 2, 2, ["a"]), part(1, 2, 2, ["a"])]],
    ["a tensor missing", "gguf.split_tensors", [part(0, 2, 3, ["a"]), part(1, 2, 3, ["b"])]],
  ])("%s: %s", async (_, code, parts) => {
    await expect(openBytes(...parts)).rejects.toMatchObject({ code });
  });

  test("a file that is no part", async () => {
    const lone = new RawFile().header(0, 0);
    await expect(openBytes(part(0, 2, 1, ["a"]), lone)).rejects.toMatchObject({
      code: "gguf.metadata_missing",
    });
    await expect(openBytes(lone, lone)).rejects.toMatchObject({ code: "gguf.split_count" });
  });
});
