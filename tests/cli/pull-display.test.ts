import { describe, expect, test } from "vitest";
import { progressLine } from "../../src/cli/pull-display.ts";

const MiB = 2 ** 20;
const state = { what: "", done: 75 * MiB, all: 300 * MiB, perMs: (18.2 * MiB) / 1000 };
const text = "25 %, 75.0 MiB of 300 MiB, 18.2 MiB/s, 13 s left";

describe("the line of a download", () => {
  test.each([
    [200, `[${"=".repeat(10).padEnd(40)}] ${text}`],
    [80, `[${"=".repeat(6).padEnd(26)}] ${text}`],
    [64, `[${"=".repeat(2).padEnd(10)}] ${text}`],
    [60, text],
    [40, "25 %, 75.0 MiB of 300 MiB, 18.2 MiB/s"],
    [30, "25 %, 75.0 MiB of 300 MiB"],
    [12, "25 %"],
    [4, "2"],
    [1, ""],
  ])("on a terminal of %i columns", (columns, expected) => {
    expect(progressLine(state, columns)).toBe(expected);
  });

  test("is never longer than the terminal, and says 100 % only at the end", () => {
    for (const done of [0, 1, 150 * MiB, 300 * MiB - 1, 300 * MiB]) {
      for (let columns = 1; columns < 220; columns++) {
        const line = progressLine({ ...state, done, perMs: done / 1000 }, columns);
        expect(line.length).toBeLessThanOrEqual(Math.max(0, columns - 3));
        if (columns > 20) expect(line.includes("100 %")).toBe(done === 300 * MiB);
      }
    }
  });

  test("says what is done where it is no download, and nothing of a speed that is not known", () => {
    expect(progressLine({ ...state, what: "checking ", perMs: Number.NaN }, 60)).toBe(
      `[${"=".repeat(5).padEnd(20)}] checking 25 %, 75.0 MiB of 300 MiB`,
    );
    expect(progressLine({ ...state, perMs: 0 }, 40)).toBe(`[${"==".padEnd(9)}] 25 %, 75.0 MiB of 300 MiB`);
  });
});
