import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { exitCodeOf, Interrupted, OutputClosed } from "../../src/cli/errors.ts";
import { bytes, columns, count, milliseconds, rate, significant, visible } from "../../src/cli/format.ts";
import { isIdList } from "../../src/cli/input.ts";
import { largest } from "../../src/cli/logits.ts";
import { parseNumber } from "../../src/cli/options.ts";
import { modelAndPrompt } from "../../src/cli/prompt.ts";
import { ClavisError } from "../../src/errors.ts";

describe("which word is the model", () => {
  test.each([
    [[], { model: "stories" }],
    [["stories"], { model: "stories" }],
    [["stories", "Hello", "there"], { model: "stories", prompt: "Hello there" }],
    [["Write a story."], { model: "stories", prompt: "Write a story." }],
    [["Write a story.", "Now."], { model: "stories", prompt: "Write a story. Now." }],
    [["Cats and/or dogs?"], { model: "stories", prompt: "Cats and/or dogs?" }],
    [["-"], { model: "stories", prompt: "-" }],
    [["a.gguf", "x"], { model: "a.gguf", prompt: "x" }],
    [["my model.GGUF"], { model: "my model.GGUF" }],
    [["./my model"], { model: "./my model" }],
    [["models/model"], { model: "models/model" }],
    [["C:\\my model"], { model: "C:\\my model" }],
  ])("%j", (words, expected) => {
    expect(modelAndPrompt(words)).toEqual(expected);
  });

  test("a file that is there, whatever its name", () => {
    const folder = mkdtempSync(join(tmpdir(), "clavis words "));
    const path = join(folder, "a b").slice(1);
    const before = process.cwd();
    try {
      writeFileSync(`/${path}`, "");
      process.chdir("/");
      expect(modelAndPrompt([path, "Hi."])).toEqual({ model: path, prompt: "Hi." });
    } finally {
      process.chdir(before);
      rmSync(folder, { recursive: true });
    }
  });

  test.each([["hello"], ["hello", "there"]])("%j is refused: one word may be a misspelt name", (...words) => {
    expect(() => modelAndPrompt(words)).toThrow(/model\.not_found: "hello" is neither/);
  });

  test.each([[""], ["", " "], [" "]])("%j is an empty prompt", (...words) => {
    expect(() => modelAndPrompt(words)).toThrow(/usage\.prompt/);
  });
});

describe("numbers of options", () => {
  test.each([
    ["0.5", 0.5],
    [".5", 0.5],
    ["1.", 1],
    ["1e-1", 0.1],
    ["+1", 1],
  ])("%s is taken", (text, value) => {
    expect(parseNumber("--x", text, { least: 0, most: 1 })).toBe(value);
  });

  test.each(["", " ", "abc", "1,5", "0x1", "NaN", "Infinity", "1e999", "1 2", "--temp", "1.5", "-0.1"])(
    "%j is refused",
    (text) => {
      expect(() => parseNumber("--x", text, { least: 0, most: 1 })).toThrow(/usage\.option: --x is/);
    },
  );

  test.each(["1.0", "1e3", "9007199254740992", "-1"])("%s is no whole number of at least 0", (text) => {
    expect(() => parseNumber("--x", text, { least: 0, whole: true })).toThrow(/a whole number of at least 0/);
  });

  test("an open range leaves out its least value", () => {
    expect(() => parseNumber("--x", "0", { least: 0, most: 1, above: true })).toThrow(
      /above 0 and at most 1/,
    );
    expect(parseNumber("--x", "1", { least: 0, most: 1, above: true })).toBe(1);
  });
});

describe("figures for people", () => {
  test.each([
    [bytes(0), "0 bytes"],
    [bytes(1023), "1023 bytes"],
    [bytes(6_273_920), "5.98 MiB"],
    [bytes(2 ** 40), "1.00 TiB"],
    [count(999_999), "999999"],
    [count(5_770_496), "5.77 million"],
    [count(7e9), "7.00 billion"],
    [significant(0), "0"],
    [significant(0.01234), "0.0123"],
    [significant(1.234), "1.23"],
    [significant(12345.6), "12346"],
    [milliseconds(1234), "1.23 s"],
    [milliseconds(12.34), "12.3 ms"],
  ])("%s", (found, expected) => {
    expect(found).toBe(expected);
  });

  test("a rate needs events and time", () => {
    expect(rate(10, 500)).toBe(20);
    expect(rate(0, 500)).toBeUndefined();
    expect(rate(10, 0)).toBeUndefined();
  });

  test("columns are as wide as their widest cell, without white space at the end", () => {
    expect(
      columns([
        ["a", "bb"],
        ["ccc", ""],
      ]),
    ).toBe("a    bb\nccc\n");
  });

  test("control characters become visible; line breaks, tabs and letters stay", () => {
    expect(visible("a\u001b[2Jb\r\u007f\u009b\u202e\n\tПривет 世界")).toBe(
      "a␛[2Jb␍␡\ufffd\ufffd\n\tПривет 世界",
    );
  });
});

test("exit codes", () => {
  const failed = (code: string) => exitCodeOf(new ClavisError(code, { found: "", expected: "", next: "" }));
  expect(failed("usage.option")).toBe(2);
  expect(failed("load.context")).toBe(2);
  expect(failed("load.device")).toBe(1);
  expect(failed("gguf.magic")).toBe(1);
  expect(exitCodeOf(new Error("x"))).toBe(1);
  expect(exitCodeOf(new Interrupted())).toBe(130);
  expect(exitCodeOf(new OutputClosed())).toBe(0);
});

test("the largest logits: descending, lower ids first among equals, all where there are few", () => {
  const values = Float32Array.of(1, 3, Number.NEGATIVE_INFINITY, 3, 2);
  expect(largest(values, 3)).toEqual([
    [1, 3],
    [3, 3],
    [4, 2],
  ]);
  expect(largest(values, 20)).toHaveLength(5);
  expect(() => largest(Float32Array.of(1, Number.NaN), 1)).toThrow(/sample\.nan: the logit of token 1 /);
});

test("lists of ids have whole numbers of at least 0", () => {
  expect([[], [0, 4095]].every(isIdList)).toBe(true);
  for (const odd of [null, {}, "1", [1.5], [-1], ["1"], [[1]], [2 ** 53]])
    expect(isIdList(odd), `${odd}`).toBe(false);
});
