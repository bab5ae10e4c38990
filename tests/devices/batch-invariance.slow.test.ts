import { basename } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openGguf } from "../../src/bytes/gguf.ts";
import { openFile, openModelFiles } from "../../src/bytes/node-file.ts";
import type { Device, Program } from "../../src/devices/device.ts";
import { Model } from "../../src/model.ts";
import { buildGraph } from "../../src/models/architecture.ts";
import { architectures } from "../../src/models/index.ts";
import { makePlan } from "../../src/plan/planner.ts";
import { everyKernels } from "../support/devices.ts";
import { oneOfEach, storiesPath } from "../support/golden.ts";

// Whole models in reproducible mode: a token's logits have the same bits whichever others share its step, however its
// prompt is cut, and whether the cache had the beginning of it.

const sequences = 64;
const pagesPerSequence = 2;

/** Tokens of one sequence in a step. */
interface Part {
  readonly slot: number;
  readonly position: number;
  readonly ids: readonly number[];
}

/** 64 sequences with pages of their own. */
class Crowd {
  private readonly program: Program;
  private readonly vocabulary: number;

  private constructor(program: Program, vocabulary: number) {
    this.program = program;
    this.vocabulary = vocabulary;
  }

  static async open(path: string, device: Device): Promise<Crowd> {
    const source = await openFile(path);
    try {
      const graph = await buildGraph(await openGguf(source), architectures, 64);
      const plan = makePlan(graph, {
        ...{ mode: "reproducible", kvType: "f16", pages: sequences * pagesPerSequence },
        limits: { tokens: 128, wanted: 128, sequences, pagesPerSequence },
        packedType: device.packedType,
        packedRowBytes: device.packedRowBytes,
      });
      return new Crowd(await device.program(plan), plan.vocabulary);
    } finally {
      await source.close();
    }
  }

  /** Runs one step; the bits of the logits after each of its tokens, part after part. */
  async step(parts: readonly Part[]): Promise<Uint32Array[]> {
    const rows = parts.flatMap(({ ids, position }, place) =>
      ids.map((id, i) => ({ id, position: position + i, place })),
    );
    const logits = await this.program.run({
      tokens: Int32Array.from(rows, ({ id }) => id),
      positions: Int32Array.from(rows, ({ position }) => position),
      slots: Int32Array.from(rows, ({ place }) => place),
      pageTables: parts.map(({ slot }) => Int32Array.of(2 * slot + 1, 2 * slot)),
      wanted: Int32Array.from(rows.keys()),
    });
    const bits = new Uint32Array(logits.buffer, logits.byteOffset, logits.length).slice();
    return rows.map((_, row) => bits.subarray(row * this.vocabulary, (row + 1) * this.vocabulary));
  }

  close(): Promise<void> {
    return this.program.close();
  }
}

/** A sequence's ids, others for every slot. */
const idsOf = (slot: number, length: number) =>
  Array.from({ length }, (_, i) => ((i + 1) * (2 * slot + 7) * 37) % 1000);

function expectRows(got: readonly Uint32Array[], want: readonly Uint32Array[], what: string): void {
  expect(got.length, what).toBe(want.length);
  for (const [row, bits] of want.entries()) {
    const apart = bits.findIndex((value, id) => value !== got[row][id]);
    if (apart >= 0) expect.fail(`${what}: row ${row} differs at id ${apart}`);
  }
}

const models = (await oneOfEach()).map((path) => ({ name: basename(path, ".gguf"), path }));
const cases = models.flatMap((model) =>
  everyKernels.map((kernels) => ({ ...model, kernels, on: kernels.name })),
);

const everyCount = Array.from({ length: sequences - 1 }, (_, i) => i + 2);
/** Around the edges of tiles. */
const edges = [2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64];

describe.each(cases)("$name on $on", ({ path, kernels }) => {
  let crowd: Crowd;
  beforeAll(async () => {
    crowd = await Crowd.open(path, kernels.device(2));
  });
  afterAll(() => crowd.close());

  // All counts take plain code ten seconds, and each of the other architectures half a second.
  const isPlain = kernels.name === "native, baseline";
  const counts = path === storiesPath && !isPlain ? everyCount : edges;

  test("a prompt cut in chunks of any size", async () => {
    const ids = idsOf(0, 40);
    const want = await crowd.step([{ slot: 0, position: 0, ids }]);
    const sizes = isPlain ? [1, 7, 33] : [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 39];
    for (const size of sizes) {
      const got: Uint32Array[] = [];
      for (let position = 0; position < ids.length; position += size) {
        got.push(...(await crowd.step([{ slot: 1, position, ids: ids.slice(position, position + size) }])));
      }
      expectRows(got, want, `chunks of ${size}`);
    }
  });

  test("a row alone and among 2 to 64, at every place", async () => {
    // Histories of 1 to 9 tokens, so that neighbours see different numbers of keys.
    const all: Part[] = Array.from({ length: sequences }, (_, slot) => ({
      ...{ slot, position: 1 + (slot % 9) },
      ids: idsOf(slot + 100, 1),
    }));
    for (const { slot, position } of all)
      await crowd.step([{ slot, position: 0, ids: idsOf(slot, position) }]);
    const alone: Uint32Array[] = [];
    for (const part of all) alone.push(...(await crowd.step([part])));
    for (const count of counts) {
      // A window that wanders over the sequences: each comes to lie first, last and between.
      const chosen = Array.from({ length: count }, (_, i) => all[(i + 11 * count) % sequences]);
      const want = chosen.map(({ slot }) => alone[slot]);
      expectRows(await crowd.step(chosen), want, `${count} rows`);
    }
  });

  test("a prompt in a step with answers before and after it, and with another prompt", async () => {
    const prompt = { slot: 0, position: 0, ids: idsOf(0, 21) };
    const want = await crowd.step([prompt]);
    const other = { slot: 1, position: 0, ids: idsOf(1, 33) };
    const otherWant = await crowd.step([other]);
    const answers = [2, 3, 4, 5].map((slot) => ({ slot, position: 3, ids: idsOf(slot + 50, 1) }));
    for (const { slot } of answers) await crowd.step([{ slot, position: 0, ids: idsOf(slot, 3) }]);
    const answersWant: Uint32Array[] = [];
    for (const answer of answers) answersWant.push(...(await crowd.step([answer])));
    const got = await crowd.step([answers[0], prompt, answers[1], answers[2], other, answers[3]]);
    const [first, second, third, fourth] = answersWant;
    expectRows(got, [first, ...want, second, third, ...otherWant, fourth], "together");
  });
});

describe.each(models)("$name, the cache of the engine", ({ path }) => {
  test("a prompt whose beginning is there already, wholly, in part or not at all", async () => {
    const device = everyKernels.at(-1)!.device(2);
    const open = async () =>
      Model.open(await openModelFiles(path), [device], { mode: "reproducible", context: 160 });
    const prompts = [idsOf(1, 100), idsOf(1, 150), [...idsOf(1, 64), ...idsOf(2, 40)], idsOf(3, 33)];
    const fresh: Float32Array[] = [];
    for (const prompt of prompts) {
      await using model = await open();
      fresh.push(await model.logits(prompt));
    }
    await using model = await open();
    for (const order of [
      [0, 1, 2, 3],
      [2, 0, 3, 1],
    ]) {
      for (const which of order) expect(await model.logits(prompts[which])).toEqual(fresh[which]);
    }
    const stream = model.generate(prompts[0], { maxTokens: 1, sampling: { temperature: 0 } });
    expect((await stream.result).cachedTokens).toBe(96);
    // All at once: they share steps as well.
    expect(await Promise.all(prompts.map((prompt) => model.logits(prompt)))).toEqual(fresh);
  });
});
