import { describe, expect, test } from "vitest";
import { f16ToF32, f32ToF16Saturating } from "../../src/bytes/float.ts";
import type { Batch } from "../../src/devices/device.ts";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { loadAddon } from "../../src/devices/native/node-addon.ts";
import { reference } from "../../src/devices/reference/device.ts";
import type { KvType, Plan } from "../../src/plan/plan.ts";
import { addonFile, levels } from "../support/native.ts";
import { quantized } from "./native-matmul-cases.ts";
import { noise, SmallTape } from "./small-tape.ts";

// Fast mode's attention for many rows against its formula in doubles, within the error that its roundings allow, at
// every level that has it. AMX runs as such where this machine has it, and in any case as a model of its instructions.

const addon = addonFile === undefined ? undefined : loadAddon();
const kernelOf = (level: string) => addon?.fastAttention(level, 64) ?? "";
/** One level for each kernel. */
const kernels = new Map(
  [...levels, "amx-model", ""].map((level) => [kernelOf(level), level] as const).filter(([name]) => name),
);

interface Shape {
  /** Values of a head, query heads, key heads. */
  readonly n: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly kvType?: KvType;
  readonly window?: number;
  readonly softcap?: number;
  readonly scale?: number;
}

/** Rows of the three matrices that tokens pick: token t takes row t. */
interface Inputs {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

const mostRows = 700;
const sequences = 3;
const pagesPerSequence = 24;
const pages = sequences * pagesPerSequence;

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

const scaleOf = ({ scale, n }: Shape) => Math.fround(scale ?? 1 / Math.sqrt(n));

function attentionPlan(shape: Shape, { q, k, v }: Inputs): Plan {
  const { n, heads, kvHeads, kvType = "f16", window = 0, softcap = 0 } = shape;
  const tape = new SmallTape(mostRows);
  const queries = tape.input(heads * n, q);
  const keys = tape.input(kvHeads * n, k);
  const values = tape.input(kvHeads * n, v);
  const out = tape.region(heads * n);
  tape.call("kvStore", { a: keys, b: values }, { layer: 0, n, heads: kvHeads });
  const words = { layer: 0, n, heads, kvHeads, window, scaleBits: scaleOf(shape), softcapBits: softcap };
  tape.call("attention", { out, a: queries }, words);
  const cache = { layers: 1, kvHeads, headWidth: n, type: kvType, pages };
  return { ...tape.plan(out, cache, sequences, pagesPerSequence), mode: "fast" };
}

function inputs({ n, heads, kvHeads }: Shape, value: (next: () => number, which: keyof Inputs) => number) {
  const filled = (which: keyof Inputs, width: number, seed: number) => {
    const next = noise(seed);
    return Float32Array.from({ length: mostRows * width }, () => value(next, which));
  };
  return {
    q: filled("q", heads * n, 1),
    k: filled("k", kvHeads * n, 2),
    v: filled("v", kvHeads * n, 3),
  };
}

/** Scores of some units: weights from one position to many. What bf16 may lose of them is the same for all shapes. */
const ordinary = (shape: Shape) =>
  inputs(shape, (next, which) => next() * (which === "q" ? 32 / (scaleOf(shape) * shape.n) : 1));

/** A row of a step: its sequence, position and token. */
interface Row {
  readonly slot: number;
  readonly position: number;
  readonly token: number;
}

/** The next rows of some sequences, whose lengths go on from step to step; tokens follow from slot and position. */
class Steps {
  readonly #lengths = [0, 0, 0];
  readonly steps: Row[][] = [];

  add(...counts: readonly (readonly [slot: number, count: number])[]): this {
    this.steps.push(
      counts.flatMap(([slot, count]) =>
        Array.from({ length: count }, () => {
          const position = this.#lengths[slot]++;
          return { slot, position, token: (slot * 211 + position) % mostRows };
        }),
      ),
    );
    return this;
  }
}

function batch(rows: readonly Row[]): Batch {
  return {
    tokens: Int32Array.from(rows, ({ token }) => token),
    positions: Int32Array.from(rows, ({ position }) => position),
    slots: Int32Array.from(rows, ({ slot }) => slot),
    pageTables,
    wanted: Int32Array.from(rows.keys()),
  };
}

async function outputs(
  level: string | undefined,
  plan: Plan,
  steps: readonly Row[][],
  threads = 1,
): Promise<Float32Array[]> {
  const device = level === undefined ? reference : nativeDevice({ level, threads });
  const program = await device.program(plan);
  const all: Float32Array[] = [];
  try {
    for (const rows of steps) all.push((await program.run(batch(rows))).slice());
  } finally {
    await program.close();
  }
  return all;
}

/** What the cache gives back of keys or values. */
function kept(x: Float32Array, { n, kvType = "f16" }: Shape): Float64Array {
  if (kvType === "f16") return Float64Array.from(x, (value) => f16ToF32(f32ToF16Saturating(value)));
  const read = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += n) {
    const { codes, scales } = quantized(x, at, n);
    for (let i = 0; i < n; i++) read[at + i] = Math.fround(scales[i >> 5] * codes[i]);
  }
  return read;
}

/** How far factors and sums may be off. */
interface Precision {
  /** Of a factor, relative: rounded to bf16, or as it is. */
  readonly factor: number;
  /** Numbers below this may count as zero. */
  readonly least: number;
}
const precisionOf = (kernel: string): Precision =>
  /fma$/.test(kernel) ? { factor: 0, least: 0 } : { factor: 2 ** -8, least: 2 ** -126 };

/**
 * The output of one row and head in doubles, and how far each value may lie from it.
 *
 * Scores: a product of two rounded factors is off by (1 + u)² − 1 of itself, u the rounding of one; sums of n products in
 * f32 by n · 2⁻²⁴ of their magnitudes; scaling, capping and taking the largest away by a few roundings of the scores'
 * size. A score that is off by d has a weight that is off by the factor e^d; 2^x itself is off by 2⁻¹⁸, once for the
 * weight and once for each block of 128 in which a larger score comes; and the weight is rounded as a factor. Where
 * weights w, Σ w = 1, are off by w · a, numerator and denominator of Σ w v / Σ w are off by Σ w a |v| and Σ w a. The
 * values are factors, too, and a sum of T weights or products rounds up to T times.
 */
function expectedRow(
  shape: Shape,
  cached: Pick<Record<keyof Inputs, Float64Array>, "k" | "v">,
  q: Float32Array,
  rows: readonly Row[],
  row: Row,
  head: number,
  precision: Precision,
) {
  const { n, heads, kvHeads, window = 0, softcap = 0 } = shape;
  const { factor, least } = precision;
  const scale = scaleOf(shape);
  const key = Math.floor((head * kvHeads) / heads);
  const start = window > 0 ? Math.max(0, row.position + 1 - window) : 0;
  const seen = rows.slice(start, row.position + 1);
  const eps = 2 ** -24;
  const query = q.subarray((row.token * heads + head) * n, (row.token * heads + head + 1) * n);
  const scores: number[] = [];
  const off: number[] = [];
  for (const { token } of seen) {
    const at = (token * kvHeads + key) * n;
    let dot = 0;
    let size = 0;
    for (let e = 0; e < n; e++) {
      dot += query[e] * cached.k[at + e];
      size += Math.abs(query[e] * cached.k[at + e]) + least;
    }
    const score = dot * scale;
    scores.push(softcap > 0 ? softcap * Math.tanh(score / softcap) : score);
    off.push(size * scale * ((1 + factor) ** 2 - 1 + (n + 4) * eps) + (softcap > 0 ? softcap * 64 * eps : 0));
  }
  const most = Math.max(...scores);
  const blocks = seen.length / 128 + 2;
  const raw = scores.map((score) => Math.exp(score - most));
  const total = raw.reduce((sum, weight) => sum + weight, 0);
  // Of a weight, relative: its score, the exponential, rounding it, and being rescaled.
  const apart = scores.map((score, t) => {
    const exponent = off[t] + (Math.abs(score) + Math.abs(most)) * 8 * eps;
    return Math.expm1(exponent) + 2 ** -18 * blocks + factor + least;
  });
  const sums = (seen.length + 16) * eps;
  let sumOff = sums;
  raw.forEach((weight, t) => {
    sumOff += (weight / total) * apart[t];
  });
  const want = new Float64Array(n);
  const allowed = new Float64Array(n);
  seen.forEach(({ token }, t) => {
    const share = raw[t] / total;
    const at = (token * kvHeads + key) * n;
    for (let e = 0; e < n; e++) {
      const value = cached.v[at + e];
      want[e] += share * value;
      allowed[e] += share * Math.abs(value) * ((1 + apart[t]) * (1 + factor + sums) - 1) + least;
    }
  });
  for (let e = 0; e < n; e++)
    allowed[e] = (allowed[e] + Math.abs(want[e]) * sumOff) / (1 - sumOff) + 2 ** -140;
  return { want, allowed };
}

/** All rows of all steps, each within its bound. @returns the largest bound */
function expectNear(
  shape: Shape,
  given: Inputs,
  steps: readonly Row[][],
  got: readonly Float32Array[],
  kernel: string,
): number {
  const cached = { k: kept(given.k, shape), v: kept(given.v, shape) };
  const { n, heads } = shape;
  const bySlot: Row[][] = [[], [], []];
  for (const row of steps.flat()) bySlot[row.slot].push(row);
  let widest = 0;
  steps.forEach((rows, step) => {
    rows.forEach((row, r) => {
      // Edges of pages, and so of blocks and chunks; the first and the last rows.
      if (r > 2 && r < rows.length - 3 && (row.position + 1) % 32 > 1) return;
      for (let head = 0; head < heads; head++) {
        const { want, allowed } = expectedRow(
          shape,
          cached,
          given.q,
          bySlot[row.slot],
          row,
          head,
          precisionOf(kernel),
        );
        for (let e = 0; e < n; e++) {
          const value = got[step][(r * heads + head) * n + e];
          widest = Math.max(widest, allowed[e]);
          if (!(Math.abs(value - want[e]) <= allowed[e])) {
            const where = `${kernel}, step ${step}, slot ${row.slot}, position ${row.position}, head ${head}, value ${e}`;
            expect.fail(`${where}: got ${value}, want ${want[e]} ± ${allowed[e]}`);
          }
        }
      }
    });
  });
  return widest;
}

/** Prompts alone and together, going on from where they were, and single tokens between them. */
const someSteps = () =>
  new Steps()
    .add([0, 200])
    .add([0, 1], [1, 40], [2, 9])
    .add([1, 1], [2, 150])
    .add([2, 8])
    .add([1, 90], [0, 130]).steps;

describe.skipIf(kernels.size === 0).each([...kernels])("fast attention, %s", (kernel, level) => {
  const isModel = kernel.endsWith("-model");
  const group = { heads: 4, kvHeads: 2 };

  test.each<Shape>([
    ...[16, 48, 64, 80, 96, 128, 256].map((n) => ({ n, ...group })),
    ...[32, 64, 96, 128].map((n) => ({ n, ...group, kvType: "q8" as const })),
    { n: 64, heads: 7, kvHeads: 1 },
    { n: 64, heads: 3, kvHeads: 3, kvType: "q8" },
    { n: 64, ...group, softcap: 2 },
    { n: 64, ...group, window: 1 },
    { n: 64, ...group, window: 33, softcap: 20 },
    { n: 32, ...group, window: 100, kvType: "q8" },
    { n: 64, ...group, window: 128 },
    { n: 64, ...group, scale: 0.5 },
  ])("%o: within the bound", async (shape) => {
    const given = ordinary(shape);
    const steps = someSteps();
    const got = await outputs(level, attentionPlan(shape, given), steps);
    const widest = expectNear(shape, given, steps, got, kernel);
    // A bound as wide as the values would hold for anything.
    expect(widest).toBeLessThan(isModel || /bf16/.test(kernel) ? 0.25 : 1e-3);
  });

  // Factors that bf16 holds, and equal weights: what is left is the rounding of sums, so that one position too many, too
  // few or twice shows, and a value that is not that of its key.
  test.each<Shape>([
    { n: 64, ...group },
    { n: 80, ...group, window: 37 },
    { n: 128, ...group, window: 200 },
    { n: 64, heads: 8, kvHeads: 1 },
  ])("%o: equal weights give the mean of the visible values", async (shape) => {
    const given = inputs(shape, (next, which) => (which === "q" ? 0 : Math.round(next() * 64)));
    const steps = someSteps();
    const got = await outputs(level, attentionPlan(shape, given), steps);
    const { n, heads, kvHeads, window = 0 } = shape;
    // Sums of the values of each sequence up to each position, whole numbers.
    const sums: Float64Array[][] = [[], [], []];
    for (const { slot, position, token } of steps.flat()) {
      const before = sums[slot][position - 1];
      const values = given.v.subarray(token * kvHeads * n, (token + 1) * kvHeads * n);
      sums[slot].push(Float64Array.from(values, (value, i) => value + (before?.[i] ?? 0)));
    }
    let apart = 0;
    steps.forEach((rows, step) => {
      rows.forEach(({ slot, position }, r) => {
        const count = window > 0 ? Math.min(window, position + 1) : position + 1;
        for (let head = 0; head < heads; head++) {
          const from = Math.floor((head * kvHeads) / heads) * n;
          for (let e = 0; e < n; e++) {
            const hidden = sums[slot][position - count]?.[from + e] ?? 0;
            const mean = (sums[slot][position][from + e] - hidden) / count;
            apart = Math.max(apart, Math.abs(got[step][(r * heads + head) * n + e] - mean));
          }
        }
      });
    });
    // The exponential's 64 · 2⁻¹⁷ at most; one position of 330 is worth up to 64 / 330.
    expect(apart).toBeLessThan(1e-3);
  });

  test.each<Shape>([
    { n: 64, ...group },
    { n: 96, ...group, kvType: "q8" },
  ])("%o: a query that only one key answers gives its value", async (shape) => {
    const { n, heads, kvHeads } = shape;
    const given = inputs(shape, (next) => (next() < 0 ? -1 : 1));
    // Row t's query is the key of row t / 2, of its own head: a product of n where others have some eight.
    for (let t = 0; t < mostRows; t++) {
      for (let head = 0; head < heads; head++) {
        const from = ((t >> 1) * kvHeads + Math.floor((head * kvHeads) / heads)) * n;
        given.q.set(given.k.subarray(from, from + n), (t * heads + head) * n);
      }
    }
    const steps = new Steps().add([0, 300]).add([0, 300]).steps;
    const got = await outputs(level, attentionPlan({ ...shape, scale: 2 }, given), steps);
    let apart = 0;
    steps.forEach((rows, step) => {
      rows.forEach(({ token }, r) => {
        for (let head = 0; head < heads; head++) {
          const from = ((token >> 1) * kvHeads + Math.floor((head * kvHeads) / heads)) * n;
          for (let e = 0; e < n; e++) {
            const value = got[step][(r * heads + head) * n + e];
            apart = Math.max(apart, Math.abs(value - given.v[from + e]));
          }
        }
      });
    });
    // Another key of random signs would have to have over nine tenths of them in common to be worth 1e-5 beside it.
    expect(apart).toBeLessThan(1e-3);
  });

  test.each<Shape>([
    { n: 64, heads: 6, kvHeads: 2, window: 90 },
    { n: 32, heads: 5, kvHeads: 1, kvType: "q8" },
  ])(
    "%o: the same bits however a step is cut, in whatever company, with one to four threads",
    async (shape) => {
      const plan = attentionPlan(shape, ordinary(shape));
      const width = shape.heads * shape.n;
      const whole = (await outputs(level, plan, new Steps().add([0, 290]).steps))[0];
      const cut = new Steps()
        .add([1, 30], [0, 4])
        .add([0, 21], [2, 9])
        .add([2, 1], [0, 130], [1, 20])
        .add([0, 135]).steps;
      for (const threads of [1, 2, 3, 4]) {
        const parts = await outputs(level, plan, cut, threads);
        const own = new Float32Array(whole.length);
        cut.forEach((rows, step) => {
          rows.forEach(({ slot, position }, r) => {
            if (slot === 0) own.set(parts[step].subarray(r * width, (r + 1) * width), position * width);
          });
        });
        expect(own, `${threads} threads`).toEqual(whole);
      }
    },
  );

  test("fewer rows than four have the contract's bits, whatever is beside them", async () => {
    const shape = { n: 64, ...group };
    const plan = attentionPlan(shape, ordinary(shape));
    const width = shape.heads * shape.n;
    const steps = new Steps().add([0, 3]).add([0, 3], [1, 60], [2, 1]).add([1, 2], [0, 1], [2, 3]).steps;
    const want = await outputs(undefined, plan, steps);
    const got = await outputs(level, plan, steps);
    steps.forEach((rows, step) => {
      rows.forEach(({ slot }, r) => {
        const part = (values: Float32Array) => values.subarray(r * width, (r + 1) * width);
        // Fast attention differs somewhere in 60 rows.
        if (slot !== 1 || step === 2) expect(part(got[step])).toEqual(part(want[step]));
      });
    });
    expect(got[1]).not.toEqual(want[1]);
  });

  test("what lies behind the last position has no influence, NaN included", async () => {
    const shape = { n: 64, ...group };
    const given = ordinary(shape);
    const plan = attentionPlan(shape, given);
    const prompt = new Steps().add([0, 20]).steps;
    const [want] = await outputs(level, plan, prompt);
    // Pages that held another sequence, whose keys and values were all NaN.
    given.k.fill(Number.NaN, 400 * group.kvHeads * shape.n);
    given.v.fill(Number.NaN, 400 * group.kvHeads * shape.n);
    const before = Array.from({ length: 96 }, (_, position) => ({ slot: 0, position, token: 400 }));
    const [, got] = await outputs(level, attentionPlan(shape, given), [before, ...prompt]);
    expect(got).toEqual(want);
  });

  test("scores and values of extreme size are finite where the contract's are", async () => {
    for (const size of [0, 2 ** -149, 1e-20, 300, 60_000]) {
      const shape = { n: 64, ...group };
      const plan = attentionPlan(
        shape,
        inputs(shape, (next) => Math.fround(next() * size)),
      );
      const [got] = await outputs(level, plan, new Steps().add([0, 150]).steps);
      expect(
        got.every((value) => Math.abs(value) <= size * (1 + 2 ** -7)),
        `size ${size}`,
      ).toBe(true);
    }
  });
});

test.runIf(kernels.has("amxbf16") && kernels.has("amxbf16-model"))(
  "tiles: the instructions give the bits of their model",
  async () => {
    for (const n of [48, 64, 128]) {
      const shape = { n, heads: 6, kvHeads: 2, window: 150 };
      const plan = attentionPlan(shape, ordinary(shape));
      const want = await outputs("amx-model", plan, someSteps());
      expect(await outputs("", plan, someSteps()), `heads of ${n}`).toEqual(want);
    }
  },
);
