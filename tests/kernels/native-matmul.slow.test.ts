import { describe, expect, test } from "vitest";
import { isIntegerType } from "../../src/bytes/integer-blocks.ts";
import type { TensorType } from "../../src/bytes/types.ts";
import {
  activations,
  expected,
  expectSameBits,
  floats,
  floatValues,
  integerValues,
  product,
  quantized,
  usualHalves,
  weightsOf,
  widths,
  withBiasAndResidual,
} from "./native-matmul-cases.ts";
import {
  Harness,
  isInstalled,
  manyRowLevels,
  nameOf,
  type Product,
  packedTypes,
  runnableLevels,
  type Toolchain,
  toolchains,
} from "./native-matmul-harness.ts";

// Every kernel of every level against the reference, bit by bit; those for many rows that reproducible mode takes among
// them. CLAVIS_NATIVE_TOOLCHAIN chooses how the kernels are built and run: "sanitized" adds AddressSanitizer and
// UndefinedBehaviorSanitizer; "aarch64", "neoverse-n1" and "cortex-a53" run them under qemu.

const toolchain: Toolchain =
  toolchains[(process.env.CLAVIS_NATIVE_TOOLCHAIN ?? "native") as keyof typeof toolchains];
const installed = isInstalled(toolchain);
const levels = installed ? runnableLevels(toolchain) : [];

/** A level's usual kernels, or those that it has for many rows. */
interface Way {
  readonly level: string;
  readonly how: "usual" | "exact";
}

const levelsOfManyRows = installed ? manyRowLevels(toolchain, "exact") : new Map<TensorType, string[]>();
const manyRowWays = (type: TensorType): Way[] =>
  levelsOfManyRows.get(type)!.map((level) => ({ level, how: "exact" }));
const waysOf = (type: TensorType): Way[] => [
  ...levels.map((level): Way => ({ level, how: "usual" })),
  ...manyRowWays(type),
];

/** Computes the products in all ways and compares each with the reference. */
function expectProducts(products: readonly Product[], ways = waysOf): void {
  const harness = new Harness(toolchain);
  const asked = products.flatMap((product) => ways(product.type).map((way) => ({ product, ...way })));
  for (const { product, level, how } of asked) harness.matmul(level, product, how);
  const answers = harness.run();
  const wanted = new Map(products.map((product) => [product, expected(product)]));
  asked.forEach(({ product, level, how }, i) => {
    const what = `${level} (${how}) ${product.type} rows ${product.rows} n ${product.n} k ${product.k}`;
    expectSameBits(floats(answers[i]), wanted.get(product)!, what);
  });
}

describe.skipIf(!installed)(`native matrix kernels (${toolchain.name})`, () => {
  test("a level that is asked for is the one that runs, and the best of them runs unasked", () => {
    const harness = new Harness(toolchain);
    harness.kernelName("");
    expect(nameOf(harness.run()[0])).toBe(levels.at(-1));
    expect(levels).toContain("portable");
    if (toolchain.runner.length > 0) expect(levels).toEqual(toolchain.levels);
  });

  describe.each(packedTypes)("%s", (type) => {
    const wide = widths(type).at(-1)!;

    test("agrees at widths around every edge", () => {
      expectProducts(widths(type).map((k) => product(type, 3, 18, k)));
    });

    test("agrees for 1…17, 31 to 33, 63 and 64 rows", () => {
      const counts = [...Array.from({ length: 17 }, (_, i) => i + 1), 31, 32, 33, 63, 64];
      expectProducts(counts.map((rows) => product(type, rows, 16, wide)));
    });

    test("agrees for columns around multiples of sixteen", () => {
      expectProducts([1, 7, 8, 9, 15, 16, 17, 31, 32, 33].map((n) => product(type, 5, n, widths(type)[2])));
    });

    test("agrees with bias, with a residual, with both, and in place", () => {
      expectProducts(withBiasAndResidual(product(type, 9, 37, wide)));
    });

    test("writes the columns asked for and no others", () => {
      const plain = product(type, 9, 53, wide);
      expectProducts([
        { ...plain, first: 16, last: 32 },
        { ...plain, first: 32, last: 53 },
        { ...plain, first: 0, last: 16 },
      ]);
    });

    test("agrees for extreme codes and scales", () => {
      const halves = [0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff];
      expectProducts(
        [0x00, 0xff, 0x80, 0x7f, 0x55].flatMap((byte) => [
          product(type, 5, 17, wide, { byte, halves }),
          product(type, 1, 17, wide, { byte, halves }),
        ]),
      );
    });

    test("agrees for whole rows of equal activations, and of alternating sign", () => {
      // Sums are largest where all codes are: these rows would overflow what is added up in 16 bits for too long.
      const kinds = [
        () => 1,
        () => -1,
        (i: number) => (i % 2 ? -1 : 1),
        (i: number) => (i % 4 < 2 ? -1 : 1),
        (i: number) => (i % 32 < 16 ? -1 : 1),
      ];
      expectProducts(
        [0x00, 0xff, 0x88, 0x77, 0xf0, 0x55].map((byte) => {
          const plain = product(type, kinds.length, 17, wide, { byte, halves: [0x3c00] });
          return { ...plain, x: plain.x.map((_, i) => kinds[Math.floor(i / plain.k)](i % plain.k)) };
        }),
      );
    });

    test("agrees for any bytes, infinite and NaN scales among them", () => {
      expectProducts([1, 2, 4, 9].map((rows) => product(type, rows, 64, wide, {})));
    });

    test("agrees for activations that are huge, tiny, infinite or NaN", () => {
      const plain = product(type, 8, 17, wide);
      for (let i = 0; i < plain.k; i++) {
        plain.x[i] *= 2 ** 110;
        plain.x[plain.k + i] *= 2 ** -125;
        plain.x[2 * plain.k + i] = 2 ** -149 * (i % 3);
        plain.x[3 * plain.k + i] = 1e-30;
      }
      plain.x[4 * plain.k + (plain.k >> 1)] = Number.NaN;
      plain.x[5 * plain.k] = Number.POSITIVE_INFINITY;
      plain.x[6 * plain.k + plain.k - 1] = Number.NEGATIVE_INFINITY;
      expectProducts([plain]);
    });

    test("every row alone gives the same bits as among 2 to 64", () => {
      const most = 64;
      const together = product(type, most, 33, wide);
      const rowsFrom = (start: number, rows: number) => {
        const x = together.x.subarray(start * together.k, (start + rows) * together.k);
        return { ...together, x, rows };
      };
      // Groups that begin at other rows each time, so that a row has many places in tiles.
      const groups = Array.from({ length: most - 1 }, (_, i) => i + 2).map((rows) => ({
        ...{ rows, start: (7 * rows) % (most - rows + 1) },
      }));
      const harness = new Harness(toolchain);
      const ways = waysOf(type);
      for (const { level, how } of ways) {
        for (let row = 0; row < most; row++) harness.matmul(level, rowsFrom(row, 1));
        for (const { start, rows } of groups) harness.matmul(level, rowsFrom(start, rows), how);
      }
      const answers = harness.run().map(floats);
      const perWay = most + groups.length;
      ways.forEach(({ level, how }, i) => {
        const ofWay = answers.slice(i * perWay, (i + 1) * perWay);
        groups.forEach(({ start, rows }, j) => {
          const want = Float32Array.from({ length: rows * together.n }, (_, at) => {
            return ofWay[start + Math.floor(at / together.n)][at % together.n];
          });
          expectSameBits(ofWay[most + j], want, `${level} (${how}), rows ${start} to ${start + rows}`);
        });
      });
    });

    test.runIf(manyRowWays(type).length > 0)("many rows: agrees beyond a panel and along all of k", () => {
      // Widths are cut at 1,024; a panel has 256 columns, and fewer where they would take more than 1 MB.
      expectProducts(
        [product(type, 17, 289, 1280), product(type, 3, 145, 8192), product(type, 33, 18, 2304)],
        manyRowWays,
      );
    });

    test("gives rows back as they were", () => {
      const harness = new Harness(toolchain);
      const n = 21;
      const weights = [usualHalves, undefined].map((halves) => weightsOf(type, n, wide, 5, { halves }));
      for (const bytes of weights) for (const level of levels) harness.gather(level, type, bytes, n, wide);
      const answers = harness.run();
      weights.forEach((bytes, i) => {
        const want = isIntegerType(type)
          ? integerValues(type, bytes, n * wide)
          : floatValues(type, bytes, n, wide);
        levels.forEach((level, j) => {
          expectSameBits(floats(answers[i * levels.length + j]), want, level);
        });
      });
    });
  });

  // One run for all types: under an emulator each begins with starting a system.
  const isReal = ({ level }: Way) => /^amx(-unasked)?$/.test(level);
  const withTiles = packedTypes.filter((type) => manyRowWays(type).some(isReal));
  test.skipIf(withTiles.length === 0)("tiles: the instructions agree", () => {
    const shapes = [
      [1, 1, 256],
      [16, 16, 512],
      [17, 33, 256],
      [35, 50, 1280],
    ] as const;
    const halves = [0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff];
    const products = withTiles.flatMap((type) => [
      ...shapes.map(([rows, n, k]) => product(type, rows, n, k)),
      ...withBiasAndResidual(product(type, 19, 18, 256)),
      ...[0x00, 0xff, 0x80, 0x7f].map((byte) => product(type, 17, 17, 512, { byte, halves })),
      product(type, 20, 40, 512, {}),
      ...widths(type).map((k) => product(type, 18, 17, k)),
    ]);
    expectProducts(products, (type) => manyRowWays(type).filter(isReal));
  });

  test("activations are quantised as the reference does", () => {
    const k = 352;
    const rows = 12;
    const x = activations(rows, k, 11);
    for (let i = 0; i < k; i++) {
      x[i] = (i % 32) - 16 + (i % 2) / 2; // halves, which round to even
      x[k + i] *= 2 ** 120;
      x[2 * k + i] *= 2 ** -140;
      x[3 * k + i] = 1e-30 * (1 + (i % 3) * 2 ** -23);
      x[4 * k + i] = i % 2 ? -0 : 0;
    }
    x[5 * k + 40] = Number.NaN;
    x[6 * k + 41] = Number.NEGATIVE_INFINITY;
    const harness = new Harness(toolchain);
    for (const level of levels) harness.quantize(level, x, rows, k);
    harness.run().forEach((bytes, i) => {
      const step = k + (k / 32) * 12;
      for (let row = 0; row < rows; row++) {
        const want = quantized(x, row * k, k);
        const buffer = bytes.slice(row * step, (row + 1) * step).buffer;
        const what = `${levels[i]}, row ${row}`;
        expect(new Int8Array(buffer, 0, k), what).toEqual(want.codes);
        expectSameBits(new Float32Array(buffer, k, k / 32), want.scales, what);
        const sums = Array.from({ length: k / 32 }, (_, b) => 0 - (want.sums[2 * b] + want.sums[2 * b + 1]));
        expect([...new Int32Array(buffer, k + k / 8, k / 32)], what).toEqual(sums);
        expect([...new Int16Array(buffer, k + k / 4, k / 16)], what).toEqual(
          [...want.sums].map((s) => 0 - s),
        );
      }
    });
  });
});
