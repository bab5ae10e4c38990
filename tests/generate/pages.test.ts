import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Holding, PagePool } from "../../src/generate/pages.ts";

/** Holds pages for all tokens and says that they are computed, as a sequence that ran would. */
function fill(pool: PagePool, tokens: readonly number[]): Holding | undefined {
  const holding = pool.hold();
  pool.reuse(holding, tokens, tokens.length - 1);
  while (holding.pages.length * pool.pagePositions < tokens.length) {
    if (!pool.extend(holding)) {
      pool.release(holding);
      return undefined;
    }
  }
  pool.index(holding, tokens, tokens.length);
  return holding;
}

const text = (length: number, start = 0): number[] => Array.from({ length }, (_, i) => start + i);

describe("page pool", () => {
  test("a finished prompt's full pages are found again, the last part-full one is not", () => {
    const pool = new PagePool(8, 4);
    pool.release(fill(pool, text(10))!);
    expect(pool.available).toBe(8);
    const again = pool.hold();
    expect(pool.reuse(again, text(12), 11)).toBe(8);
    expect(again.pages).toHaveLength(2);
  });

  test("one token is always left to compute", () => {
    const pool = new PagePool(8, 4);
    pool.release(fill(pool, text(8))!);
    expect(pool.find(text(8), 7)).toEqual({ pages: 1, kept: 1 });
    expect(pool.find(text(9), 8)).toEqual({ pages: 2, kept: 2 });
  });

  test("the same page after another beginning is not found", () => {
    const pool = new PagePool(8, 4);
    pool.release(fill(pool, [...text(4), ...text(4, 50)])!);
    expect(pool.find([...text(4, 9), ...text(4, 50), 0], 8).pages).toBe(0);
    expect(pool.find([...text(4), ...text(4, 50), 0], 8).pages).toBe(2);
  });

  test("two sequences with the same beginning come to share its pages", () => {
    const pool = new PagePool(8, 4);
    const both = [pool.hold(), pool.hold()];
    for (const holding of both) for (let i = 0; i < 3; i++) pool.extend(holding);
    expect(pool.available).toBe(2);
    for (const holding of both) pool.index(holding, text(10), 10);
    expect(both[0].pages.slice(0, 2)).toEqual(both[1].pages.slice(0, 2));
    expect(both[0].pages[2]).not.toBe(both[1].pages[2]);
    expect(pool.available).toBe(4);
  });

  test("pages unused for longest are given up first, each after those that continue it", () => {
    const pool = new PagePool(4, 4);
    pool.release(fill(pool, text(8))!);
    pool.release(fill(pool, text(8, 100))!);
    const other = fill(pool, text(4, 200))!;
    // The second page of the first text had to go.
    expect(pool.find(text(9), 8).pages).toBe(1);
    expect(pool.find(text(9, 100), 8).pages).toBe(2);
    pool.release(other);
  });

  test("a collision of hashes finds nothing wrong", () => {
    // FNV-1a over (a, b) is ((basis ^ a) · prime ^ b) · prime, so that for any other a there is a b with
    // the same hash.
    const mixed = (token: number) => Math.imul(0x811c9dc5 ^ token, 0x01000193);
    const first = [1, 2];
    const second = [3, mixed(1) ^ mixed(3) ^ 2];
    const pool = new PagePool(8, 2);
    pool.release(fill(pool, [...first, 5, 6, 0])!);
    expect(pool.find([...second, 5, 6, 0], 4).pages).toBe(0);
    pool.release(fill(pool, [...second, 0])!);
    // Its own page, but not the one that continues the first.
    expect(pool.find([...second, 5, 6, 0], 4).pages).toBe(1);
    expect(pool.find([...first, 5, 6, 0], 4).pages).toBe(2);
    // Giving up one of the two leaves the other.
    fill(pool, text(10, 100));
    fill(pool, text(3, 200));
    expect(pool.find([...first, 5, 6, 0], 4).pages + pool.find([...second, 0], 2).pages).toBe(1);
  });
});

/**
 * Any order of starting, growing and ending sequences, against a model: what each page holds is written
 * down, and a page found for a prompt must hold that prompt's own tokens and all before them.
 */
test("no order of events makes a page show other tokens, leak, or be written while shared", () => {
  const size = 3;
  const beginning = fc.array(fc.constantFrom(0, 0, 0, 1), { minLength: 1, maxLength: 14 });
  const event = fc.oneof(
    fc.record({ kind: fc.constant("start" as const), tokens: beginning }),
    fc.record({ kind: fc.constant("grow" as const), which: fc.nat(), token: fc.constantFrom(0, 0, 0, 1) }),
    fc.record({ kind: fc.constant("end" as const), which: fc.nat() }),
  );
  let reused = 0;
  fc.assert(
    fc.property(fc.array(event, { minLength: 10, maxLength: 60 }), (events) => {
      const pool = new PagePool(9, size);
      const content: string[] = new Array(9).fill("");
      const live: { holding: Holding; tokens: number[] }[] = [];
      const write = ({ holding, tokens }: (typeof live)[number], from: number) => {
        for (let position = from; position < tokens.length; position++) {
          const page = holding.pages[Math.floor(position / size)];
          const holders = live.filter((one) => one.holding.pages.includes(page));
          expect(holders.every((one) => one.holding === holding)).toBe(true);
          content[page] = tokens.slice(0, position + 1).join();
        }
      };
      for (const one of events) {
        if (one.kind === "start") {
          const holding = pool.hold();
          const sequence = { holding, tokens: one.tokens };
          const from = pool.reuse(holding, one.tokens, one.tokens.length - 1);
          expect(from).toBeLessThan(one.tokens.length);
          reused += from;
          while (holding.pages.length * size < one.tokens.length && pool.extend(holding)) {}
          if (holding.pages.length * size < one.tokens.length) pool.release(holding);
          else {
            live.push(sequence);
            write(sequence, from);
            pool.index(holding, one.tokens, one.tokens.length);
          }
        } else if (live.length > 0) {
          const at = one.which % live.length;
          const sequence = live[at];
          if (one.kind === "end") {
            live.splice(at, 1);
            pool.release(sequence.holding);
          } else if (
            sequence.holding.pages.length * size > sequence.tokens.length ||
            pool.extend(sequence.holding)
          ) {
            sequence.tokens = [...sequence.tokens, one.token];
            write(sequence, sequence.tokens.length - 1);
            pool.index(sequence.holding, sequence.tokens, sequence.tokens.length);
          }
        }
        for (const { holding, tokens } of live) {
          for (const [i, page] of holding.pages.entries()) {
            if (i * size < tokens.length) expect(content[page]).toBe(tokens.slice(0, (i + 1) * size).join());
          }
        }
        const held = new Set(live.flatMap(({ holding }) => holding.pages));
        expect(pool.available).toBe(9 - held.size);
      }
    }),
    { numRuns: 400 },
  );
  expect(reused).toBeGreaterThan(1000);
});
