import { copyFile, mkdtemp, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openGguf } from "../../src/bytes/gguf.ts";
import { openFile } from "../../src/bytes/node-file.ts";
import { type ByteSource, bufferSource } from "../../src/bytes/source.ts";
import type { ProgramOptions } from "../../src/devices/device.ts";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { buildGraph } from "../../src/models/architecture.ts";
import { architectures } from "../../src/models/index.ts";
import { makePlan } from "../../src/plan/planner.ts";
import { storiesPath } from "../support/golden.ts";
import { describeNative } from "../support/native.ts";

const device = nativeDevice({ threads: 2 });
const limits = { tokens: 8, wanted: 1, sequences: 1, pagesPerSequence: 1 };

/** A program of the stories model, from wherever its file is. */
async function programOf(source: ByteSource, options: ProgramOptions = {}, between?: () => Promise<void>) {
  const graph = await buildGraph(await openGguf(source), architectures, 32);
  const plan = makePlan(graph, {
    ...{ mode: "reproducible", kvType: "f16", pages: 1, limits },
    packedType: device.packedType,
    packedRowBytes: device.packedRowBytes,
  });
  await between?.();
  return device.program(plan, options);
}

async function logitsFrom(source: ByteSource): Promise<Float32Array> {
  const program = await programOf(source);
  const logits = await program.run({
    tokens: Int32Array.of(1, 20, 300, 4),
    positions: Int32Array.of(0, 1, 2, 3),
    slots: new Int32Array(4),
    pageTables: [Int32Array.of(0)],
    wanted: Int32Array.of(3),
  });
  const kept = logits.slice();
  await program.close();
  return kept;
}

describeNative("native: loading", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "clavis-load-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("a file that the threads read gives the bits of a file in memory", async () => {
    const file = await openFile(storiesPath);
    expect(file.descriptor).toBeTypeOf("number");
    const fromFile = await logitsFrom(file);
    await file.close();
    const fromMemory = await logitsFrom(bufferSource(new Uint8Array(await readFile(storiesPath))));
    expect(new Uint32Array(fromFile.buffer)).toEqual(new Uint32Array(fromMemory.buffer));
  });

  test("progress rises to the whole", async () => {
    const file = await openFile(storiesPath);
    const seen: [number, number][] = [];
    const program = await programOf(file, { progress: (done, all) => seen.push([done, all]) });
    await program.close();
    await file.close();
    const [done, all] = seen[seen.length - 1];
    expect(done).toBe(all);
    expect(seen.every(([now], i) => i === 0 || now >= seen[i - 1][0])).toBe(true);
  });

  test("a file that became shorter is said to be so", async () => {
    const path = join(folder, "shrinking.gguf");
    await copyFile(storiesPath, path);
    const file = await openFile(path);
    const loading = programOf(file, {}, () => truncate(path, Math.floor(file.size * 0.9)));
    await expect(loading).rejects.toMatchObject({ code: "source.shrank" });
    await file.close();
  });

  test("an abort ends it, before and while the threads read", async () => {
    const file = await openFile(storiesPath);
    const reason = new Error("enough");
    await expect(programOf(file, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const loading = programOf(file, { signal: controller.signal, progress: () => controller.abort(reason) });
    await expect(loading).rejects.toBe(reason);
    await file.close();
  });
});
