import { expect, test } from "vitest";
import { openGguf } from "../../src/bytes/gguf.ts";
import { bufferSource } from "../../src/bytes/source.ts";
import { ClavisError } from "../../src/errors.ts";
import { countingSource, endlessSource, hostileFiles, RawFile } from "../support/hostile.ts";

const longestMs = 2000;

/** The time it takes in the processor, so that a busy machine does not decide. A hang is the runner's to end. */
async function timed<T>(work: () => Promise<T>): Promise<[ms: number, result: T]> {
  const start = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(start);
  return [(user + system) / 1000, result];
}

const allowedBytes = 256 * 2 ** 20;

test("every hostile file gives its error, or is read; in bounded time, bytes and memory", async () => {
  const before = process.memoryUsage().rss;
  let files = 0;
  let refused = 0;
  for (const { title, bytes, code } of hostileFiles()) {
    const source = countingSource(bufferSource(bytes, "hostile.gguf"));
    const [ms, result] = await timed(() => openGguf(source).catch((error: unknown) => error));
    files++;
    if (result instanceof Error) {
      if (!(result instanceof ClavisError)) throw new Error(`${title}: ${result.stack}`);
      if (code !== undefined) expect(result.code, title).toBe(code);
      refused++;
    } else {
      expect(code, `${title} was read`).toBeUndefined();
    }
    expect(ms, title).toBeLessThan(longestMs);
    // Sixteen bytes are looked at twice, for the magic.
    expect(source.bytesRead, title).toBeLessThanOrEqual(bytes.length + 16);
  }
  expect(files).toBeGreaterThan(2500);
  expect(refused).toBeGreaterThan(files / 2);
  expect(process.memoryUsage().rss - before).toBeLessThan(allowedBytes);
}, 120_000);

/** Files that claim to be a terabyte, of which any amount can be read. */
const endless: [title: string, start: RawFile, repeated: Uint8Array, code: string][] = [
  ["zeros", new RawFile().header(2 ** 17, 2 ** 16), new Uint8Array(8), "gguf.key_length"],
  ["empty strings", new RawFile().header(0, 1).arrayKey("k", 8, 2 ** 22), new Uint8Array(8), ""],
  [
    "a billion empty strings",
    new RawFile().header(0, 1).arrayKey("k", 8, 2 ** 30),
    new Uint8Array(8),
    "gguf.count",
  ],
  [
    "two-letter strings to the header's limit",
    new RawFile().header(0, 1).arrayKey("k", 8, 5_000_000),
    new RawFile().text("ab").bytes(),
    "",
  ],
  [
    "a string of a gigabyte",
    new RawFile()
      .header(0, 1)
      .key("k", 8)
      .u64(2 ** 30),
    Uint8Array.of(97),
    "gguf.count",
  ],
  [
    "numbers by the gigabyte",
    new RawFile().header(0, 1).arrayKey("k", 0, 2 ** 30),
    Uint8Array.of(97),
    "gguf.count",
  ],
  [
    "numbers to the header's limit",
    new RawFile().header(0, 1).arrayKey("k", 0, 47 * 2 ** 20),
    Uint8Array.of(97),
    "",
  ],
  [
    "truth values by the million",
    new RawFile().header(0, 1).arrayKey("k", 7, 2 ** 21),
    Uint8Array.of(1),
    "gguf.count",
  ],
  [
    "arrays of nothing",
    new RawFile().header(0, 1).arrayKey("k", 9, 2 ** 16),
    new RawFile().u32(8).u64(0).bytes(),
    "",
  ],
  ["tensors without name", new RawFile().header(2 ** 17, 0), new Uint8Array(8), "gguf.duplicate_tensor"],
  ["tensors by the million", new RawFile().header(2 ** 20, 0), new Uint8Array(8), "gguf.count"],
  ["keys by the million", new RawFile().header(0, 2 ** 20), new Uint8Array(8), "gguf.count"],
];

test.each(endless)("an endless file of %s", async (_, start, repeated, code) => {
  globalThis.gc?.();
  const before = process.memoryUsage();
  const source = countingSource(endlessSource(start.bytes(), repeated, 2 ** 40));
  const [ms, result] = await timed(() =>
    openGguf(source).then(
      () => "",
      (error: ClavisError) => error.code,
    ),
  );
  expect(ms).toBeLessThan(longestMs);
  const after = process.memoryUsage();
  expect(result).toBe(code);
  expect(after.heapTotal + after.external - before.heapTotal - before.external).toBeLessThan(
    allowedBytes + 2 ** 26,
  );
  expect(source.bytesRead).toBeLessThan(50 * 2 ** 20);
});

test("131,072 tensors and 65,536 keys are read in time", async () => {
  const file = new RawFile().header(2 ** 17, 2 ** 16);
  for (let i = 0; i < 2 ** 16; i++) file.key(`k${i}`, 0).raw([1]);
  for (let i = 0; i < 2 ** 17; i++) file.tensor(`t${i}`, [1, 1, 1, 1], 0, 32 * i);
  file.align();
  const source = endlessSource(file.bytes(), new Uint8Array(1), file.length + 2 ** 22);
  const [ms, gguf] = await timed(() => openGguf(source));
  expect(ms).toBeLessThan(longestMs);
  expect(gguf.tensors.size).toBe(2 ** 17);
  expect(gguf.metadata.size).toBe(2 ** 16);
});
