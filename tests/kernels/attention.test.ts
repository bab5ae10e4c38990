import { describe, test } from "vitest";
import type { Batch } from "../../src/devices/device.ts";
import type { KvType } from "../../src/plan/plan.ts";
import { allDevices, expectSameBits, noise, SmallTape, values } from "./small-tape.ts";

// kvStore and attention on every device against the reference, by bits: head widths around whole vectors and
// groups of sixteen lanes, sequences that share a step, pages in any order, windows and soft caps.

interface Shape {
  /** Values of a head, query heads, key heads. */
  readonly n: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly kvType?: KvType;
  readonly window?: number;
  readonly softcap?: number;
  /** Largest magnitude of keys, about. */
  readonly scale?: number;
  /** Queries, keys and values that are all of this kind, rather than of many magnitudes. */
  readonly all?: "zero" | "equal" | "alternating" | "denormal";
}

const kinds = {
  zero: () => 0,
  equal: () => 0.75,
  alternating: (i: number) => (i % 2 ? -0.75 : 0.75),
  denormal: (i: number) => ((i % 5) - 2) * 2 ** -149,
};

const mostRows = 70;
const pagesPerSequence = 6;
const sequences = 3;
const pages = pagesPerSequence * sequences;

/** A tape that stores and attends in two layers, and shows both results. */
function attentionPlan(shape: Shape) {
  const { n, heads, kvHeads, kvType = "f16", window = 0, softcap = 0, scale = 1, all } = shape;
  const tape = new SmallTape(mostRows);
  const input = (width: number, seed: number, size = 1) => {
    const data = values(mostRows * width, seed, size);
    return tape.input(width, all === undefined ? data : data.map((_, i) => kinds[all](i)));
  };
  const q = input(heads * n, 1);
  const k = input(kvHeads * n, 2, scale);
  const v = input(kvHeads * n, 3, scale);
  const first = tape.region(heads * n);
  const second = tape.region(heads * n);
  const words = { n, heads, kvHeads, window, scaleBits: 1 / Math.sqrt(n), softcapBits: softcap };
  tape.call("kvStore", { a: k, b: v }, { layer: 0, n, heads: kvHeads });
  tape.call("attention", { out: first, a: q }, { ...words, layer: 0 });
  tape.call("kvStore", { a: v, b: k }, { layer: 1, n, heads: kvHeads });
  tape.call("attention", { out: second, a: q }, { ...words, layer: 1, window: 0 });
  const out = tape.region(heads * n);
  tape.call("add", { out, a: first, b: second }, { n: heads * n });
  const cache = { layers: 2, kvHeads, headWidth: n, type: kvType, pages };
  return tape.plan(out, cache, sequences, pagesPerSequence);
}

/** Pages of the three sequences, shuffled. */
const pageTables = (() => {
  const next = noise(4);
  const order = Array.from({ length: pages }, (_, page) => ({ page, key: next() })).sort(
    (a, b) => a.key - b.key,
  );
  return Array.from({ length: sequences }, (_, s) =>
    Int32Array.from(order.slice(s * pagesPerSequence, (s + 1) * pagesPerSequence), ({ page }) => page),
  );
})();

/** A step that appends so many tokens to each sequence, whose lengths it advances. */
function append(lengths: number[], counts: readonly number[], seed: number): Batch {
  const next = noise(seed);
  const [tokens, positions, slots]: [number[], number[], number[]] = [[], [], []];
  counts.forEach((count, slot) => {
    for (let i = 0; i < count; i++) {
      tokens.push(Math.floor((next() + 1) * 0.499 * mostRows));
      positions.push(lengths[slot]++);
      slots.push(slot);
    }
  });
  return {
    tokens: Int32Array.from(tokens),
    positions: Int32Array.from(positions),
    slots: Int32Array.from(slots),
    pageTables,
    wanted: Int32Array.from(tokens.keys()),
  };
}

/** Prompts and single tokens, alone and together; the sequences cross pages at different times. */
function manySteps(): Batch[] {
  const lengths = [0, 0, 0];
  const counts = [
    [1, 0, 0],
    [30, 2, 0],
    [1, 1, 17],
    [3, 40, 1],
    [1, 1, 1],
    [40, 0, 30],
    [0, 5, 0],
    [16, 17, 15],
  ];
  return counts.map((one, i) => append(lengths, one, i + 1));
}

const withType = (kvType: KvType) => (shape: Omit<Shape, "kvType">) => ({ kvType, ...shape });

describe("attention", () => {
  const groups = { heads: 6, kvHeads: 2 };
  const f16 = [1, 2, 3, 4, 5, 8, 15, 16, 17, 20, 31, 32, 33, 48, 64, 80, 96].map((n) => ({ n, ...groups }));
  const q8 = [32, 64, 96, 128].map((n) => ({ n, ...groups }));
  const shapes: Shape[] = [
    ...f16.map(withType("f16")),
    ...q8.map(withType("q8")),
    { n: 64, heads: 4, kvHeads: 4 },
    { n: 64, heads: 8, kvHeads: 1 },
    { n: 128, heads: 3, kvHeads: 3, window: 1 },
    { n: 16, ...groups, window: 5 },
    { n: 32, ...groups, window: 32, kvType: "q8" },
    { n: 24, ...groups, window: 33, softcap: 20 },
    { n: 64, ...groups, softcap: 50 },
    // Scores whose exponentials vanish, and keys past the largest f16 or below the smallest normal one.
    { n: 32, ...groups, scale: 300 },
    { n: 32, ...groups, scale: 60_000 },
    { n: 32, ...groups, scale: 3e-6 },
    { n: 32, ...groups, scale: 3e-6, kvType: "q8" },
    ...(["zero", "equal", "alternating", "denormal"] as const).flatMap((all) => [
      { n: 32, ...groups, all },
      { n: 32, ...groups, all, kvType: "q8" as const },
    ]),
  ];
  test.each(shapes)("%o", async (shape) => {
    await expectSameBits(attentionPlan(shape), manySteps());
  });

  test.each([
    { n: 64, heads: 6, kvHeads: 2 },
    { n: 32, heads: 5, kvHeads: 1 },
    { n: 32, heads: 8, kvHeads: 8, kvType: "q8", window: 40 },
  ] as const)("with zero to four workers: %o", async (shape) => {
    await expectSameBits(attentionPlan(shape), manySteps(), allDevices);
  });
});

test("attention: rows that do not fit the scratch together", async () => {
  // 16 rows × 8 heads × 4,096 positions are more scores than are kept at a time.
  const [n, heads, kvHeads, context] = [4, 8, 1, 4096];
  const tape = new SmallTape(24);
  const q = tape.input(heads * n, values(24 * heads * n, 1));
  const k = tape.input(kvHeads * n, values(24 * kvHeads * n, 2));
  const out = tape.region(heads * n);
  tape.call("kvStore", { a: k, b: k }, { layer: 0, n, heads: kvHeads });
  const words = { layer: 0, n, heads, kvHeads, window: 0, scaleBits: 0.5, softcapBits: 0 };
  tape.call("attention", { out, a: q }, words);
  const cache = { layers: 1, kvHeads, headWidth: n, type: "f16", pages: context / 32 } as const;
  const table = Int32Array.from({ length: context / 32 }, (_, i) => context / 32 - 1 - i);
  const tokens = Int32Array.from({ length: 24 }, (_, t) => t);
  const steps = [0, 24, 48, context - 24].map((position) => ({
    ...{ tokens, slots: new Int32Array(24), pageTables: [table], wanted: tokens },
    positions: tokens.map((t) => position + t),
  }));
  await expectSameBits(tape.plan(out, cache, 1, context / 32), steps);
});
