import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { penalizeRepetition } from "../../src/generate/dry.ts";
import { History } from "../../src/generate/history.ts";
import { penalizeCounts, penalizeRepeats } from "../../src/generate/penalties.ts";

test("the repeat penalty divides positive and multiplies negative logits", () => {
  const logits = Float32Array.of(3, -3, 0, 1.5, -Infinity);
  penalizeRepeats(logits, [0, 1, 2, 4], 1.5);
  expect(Array.from(logits)).toEqual([2, -4.5, 0, 1.5, -Infinity]);
});

test("frequency counts each time, presence once", () => {
  const logits = Float32Array.of(1, 1, 1);
  penalizeCounts(
    logits,
    new Map([
      [0, 3],
      [2, 1],
    ]),
    0.5,
    0.25,
  );
  expect(Array.from(logits)).toEqual([-0.75, 1, 0.25]);
});

describe("history", () => {
  test.each([0, 1, 3, Number.POSITIVE_INFINITY])("counts the newest %d tokens", (window) => {
    const history = new History(window);
    const all: number[] = [];
    for (let i = 0; i < 600; i++) {
      const token = (i * i) % 5;
      history.add(token);
      all.push(token);
      const newest = window === 0 ? [] : all.slice(-window);
      const counts = new Map<number, number>();
      for (const id of newest) counts.set(id, (counts.get(id) ?? 0) + 1);
      expect(new Map([...history.recent].sort())).toEqual(new Map([...counts].sort()));
    }
    expect(Array.from(history.newest(4))).toEqual(all.slice(-4));
    expect(Array.from(history.newest(0))).toEqual([]);
    expect(Array.from(history.newest(1e9))).toEqual(all);
  });
});

describe("DRY", () => {
  const options = { multiplier: 0.8, base: 2, allowedLength: 2 };
  const never = () => false;

  /** What is taken off each logit. */
  const penalties = (history: readonly number[], isBreaker: (id: number) => boolean = never): number[] => {
    const logits = new Float32Array(8);
    penalizeRepetition(logits, Int32Array.from(history), options, isBreaker);
    return Array.from(logits, (logit) => Math.round((0 - logit) * 1000) / 1000);
  };

  test("the token that would go on a repetition of two or more loses multiplier · base^(n − 2)", () => {
    expect(penalties([1, 2, 3, 1])).toEqual([0, 0, 0, 0, 0, 0, 0, 0]); // one token matches
    expect(penalties([1, 2, 3, 1, 2])).toEqual([0, 0, 0, 0.8, 0, 0, 0, 0]);
    expect(penalties([5, 1, 2, 3, 5, 1, 2])).toEqual([0, 0, 0, 1.6, 0, 0, 0, 0]);
    expect(penalties([4, 5, 1, 2, 3, 4, 5, 1, 2])).toEqual([0, 0, 0, 3.2, 0, 0, 0, 0]);
  });

  test("of several matches the longest counts", () => {
    // 1 2 was followed by 3 once, and by 4; 5 1 2 by 4 only.
    expect(penalties([5, 1, 2, 4, 6, 1, 2, 3, 5, 1, 2])).toEqual([0, 0, 0, 0.8, 1.6, 0, 0, 0]);
  });

  test("a match does not reach over a breaker, begin in one, or go on into one", () => {
    const breaker = (id: number) => id === 7;
    expect(penalties([1, 7, 2, 3, 1, 7, 2], breaker)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(penalties([1, 2, 7, 3, 1, 2, 7], breaker)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(penalties([1, 2, 7, 3, 1, 2], breaker)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(penalties([1, 2, 7, 3, 1, 2])).toEqual([0, 0, 0, 0, 0, 0, 0, 0.8]);
  });

  test("a long repetition keeps the logit finite", () => {
    const logits = new Float32Array(2);
    penalizeRepetition(logits, new Int32Array(5000), options, never);
    expect(logits[0]).toBe(Math.fround(-1e30));
  });

  test("agrees with a search of every place", () => {
    /** Each place compared backwards, as the method is described. */
    function plain(history: readonly number[], isBreaker: (id: number) => boolean): number[] {
      const longest = new Array<number>(8).fill(0);
      const n = history.length;
      for (let next = 1; next < n; next++) {
        let length = 0;
        while (
          length < next &&
          history[next - 1 - length] === history[n - 1 - length] &&
          !isBreaker(history[n - 1 - length])
        )
          length++;
        if (!isBreaker(history[next])) longest[history[next]] = Math.max(longest[history[next]], length);
      }
      return longest.map((length) =>
        length < 2 ? 0 : Math.round(800 * Math.min(1e33, 2 ** (length - 2))) / 1000,
      );
    }
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 22 }),
        fc.integer({ min: 0, max: 4 }),
        (history, breaker) => {
          const isBreaker = (id: number) => id === breaker;
          const got = penalties(history, isBreaker);
          const want = plain(history, isBreaker);
          for (let id = 0; id < 8; id++)
            expect(Math.abs(got[id] - want[id])).toBeLessThanOrEqual(want[id] * 1e-6);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
