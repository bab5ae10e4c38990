import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StopFinder } from "../../src/generate/stop.ts";

/** Pushes pieces until a stop string occurs. */
function run(stops: readonly string[], pieces: readonly string[]): { shown: string[]; stop?: string } {
  const finder = new StopFinder(stops);
  const shown: string[] = [];
  for (const piece of pieces) {
    const { text, stop } = finder.push(piece);
    shown.push(text);
    if (stop !== undefined) return { shown, stop };
  }
  shown.push(finder.end());
  return { shown };
}

describe("stop strings", () => {
  test("within a piece, and over several", () => {
    expect(run(["STOP"], ["one STOP two"])).toEqual({ shown: ["one "], stop: "STOP" });
    expect(run(["STOP"], ["one S", "T", "OP", " two"])).toEqual({ shown: ["one ", "", ""], stop: "STOP" });
  });

  test("what could be the beginning of one is held back, and given out when it is not", () => {
    expect(run(["STOP"], ["one ST", "ART"])).toEqual({ shown: ["one ", "START", ""] });
    expect(run(["STOP"], ["one ST"])).toEqual({ shown: ["one ", "ST"] });
    expect(run(["aab"], ["aaa", "ab"])).toEqual({ shown: ["a", "a"], stop: "aab" });
    expect(run(["aabaaaa"], ["aabaaab", "aaaa"])).toEqual({ shown: ["aaba", ""], stop: "aabaaaa" });
  });

  test("the first to be complete counts, of several at once the longest", () => {
    expect(run(["ab", "xaby"], ["xab", "y"])).toEqual({ shown: ["x"], stop: "ab" });
    expect(run(["b", "ab"], ["xab"])).toEqual({ shown: ["x"], stop: "ab" });
  });

  test("half of a surrogate pair is neither held nor matched", () => {
    expect(run(["😀"], ["a😁b"])).toEqual({ shown: ["a😁b", ""] });
    expect(run(["\ud83d"], ["a😁b"])).toEqual({ shown: ["a😁b", ""] });
    expect(run(["😀!"], ["a😀", "!"])).toEqual({ shown: ["a", ""], stop: "😀!" });
  });

  test("agree with a search of the whole text, however it is cut", () => {
    const letter = fc.constantFrom("a", "a", "a", "b", "b", "😀");
    const text = (minLength: number, maxLength: number) =>
      fc.array(letter, { minLength, maxLength }).map((letters) => letters.join(""));
    fc.assert(
      fc.property(
        fc.array(text(1, 8), { minLength: 1, maxLength: 3 }),
        fc.array(text(0, 6), { maxLength: 12 }),
        (stops, pieces) => {
          const whole = pieces.join("");
          const ends = stops
            .filter((stop) => whole.includes(stop))
            .map((stop) => ({ stop, start: whole.indexOf(stop), end: whole.indexOf(stop) + stop.length }))
            .sort((a, b) => a.end - b.end || a.start - b.start);
          const { shown, stop } = run(stops, pieces);
          if (ends.length === 0)
            expect({ text: shown.join(""), stop }).toEqual({ text: whole, stop: undefined });
          else
            expect({ text: shown.join(""), stop }).toEqual({
              text: whole.slice(0, ends[0].start),
              stop: ends[0].stop,
            });
        },
      ),
      { numRuns: 5000 },
    );
  });

  test("a long stop string on a hostile text takes linear time", () => {
    const half = "a".repeat(100_000);
    const finder = new StopFinder([`${half}b`]);
    const start = performance.now();
    for (let i = 0; i < 20; i++) finder.push("a".repeat(10_000));
    expect(finder.push(`${half}b`).stop).toBe(`${half}b`);
    expect(performance.now() - start).toBeLessThan(2000);
  });
});
