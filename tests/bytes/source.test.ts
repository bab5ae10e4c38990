import { describe, expect, test } from "vitest";
import { blobSource, bufferSource, read } from "../../src/bytes/source.ts";

const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);

describe.each([
  ["buffer", () => bufferSource(bytes, "a name")],
  ["array buffer", () => bufferSource(bytes.buffer, "a name")],
  ["blob", () => blobSource(new Blob([bytes]), "a name")],
])("%s source", (_, open) => {
  test("gives its size, its name and any range", async () => {
    const source = open();
    expect([source.size, source.name]).toEqual([100, "a name"]);
    expect(await read(source, 0, 100)).toEqual(bytes);
    expect(await read(source, 98, 2)).toEqual(Uint8Array.of(98, 99));
    expect(await read(source, 100, 0)).toEqual(new Uint8Array(0));
  });

  test("fills a view of shared memory, and only that", async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(10));
    await open().readInto(50, shared.subarray(2, 5));
    expect([...shared]).toEqual([0, 0, 50, 51, 52, 0, 0, 0, 0, 0]);
  });

  test.each([
    [0, 101],
    [100, 1],
    [-1, 1],
    [0.5, 1],
    [Number.NaN, 1],
    [2 ** 53, 1],
  ])("a range outside it is refused: %d, %d", async (offset, length) => {
    await expect(read(open(), offset, length)).rejects.toMatchObject({ code: "source.range" });
    await expect(open().readInto(offset, new Uint8Array(length))).rejects.toMatchObject({
      code: "source.range",
    });
  });

  test("a length is refused before memory is taken for it", async () => {
    await expect(read(open(), 0, 2 ** 52)).rejects.toMatchObject({ code: "source.range" });
  });

  test("after close it refuses", async () => {
    const source = open();
    await source.close();
    await expect(read(source, 0, 1)).rejects.toMatchObject({ code: "source.closed" });
    await source.close(); // again is fine
  });
});

test("a picked file brings its name", () => {
  expect(blobSource(new File([bytes], "model.gguf")).name).toBe("model.gguf");
  expect(blobSource(new Blob([bytes])).name).toBe("blob");
  expect(bufferSource(bytes).name).toBe("buffer");
});

test("a blob of several pieces arrives whole", async () => {
  const large = new Uint8Array(2 ** 24 + 5);
  for (let i = 0; i < large.length; i += 4093) large[i] = i & 255;
  const copy = await read(blobSource(new Blob([large])), 3, 2 ** 24 + 2);
  expect(Buffer.compare(copy, large.subarray(3))).toBe(0);
});
