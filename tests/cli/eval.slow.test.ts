import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { storiesPath } from "../support/golden.ts";
import { root } from "../support/shared.ts";
import { clavis, describeBuilt } from "./clavis.ts";

const golden = JSON.parse(readFileSync(join(root, "tests/golden/perplexity.json"), "utf8"));

describeBuilt("clavis eval", () => {
  let folder: string;
  let text: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "clavis-eval-"));
    text = join(folder, "passage.txt");
    writeFileSync(text, golden.text);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("scores a file or stdin; the figures are the library's", async () => {
    const args = ["eval", "--context", "128", "--json"];
    const [file, stdin] = await Promise.all([
      clavis([...args, "--text", text]),
      clavis([...args, "--text", "-"], { input: golden.text }),
    ]);
    expect(file.stderr).toBe("");
    const [{ ms, ...figures }, other] = [JSON.parse(file.stdout), JSON.parse(stdin.stdout)];
    expect(other).toMatchObject(figures);
    expect(ms).toBeGreaterThan(0);
    expect(figures).toMatchObject({
      windows: 8,
      scored_tokens: 504,
      context: 128,
      stride: 128,
      mode: "fast",
    });
    expect(Math.abs(figures.perplexity / 2.0798 - 1)).toBeLessThan(2e-3);
    expect(figures.perplexity).toBeCloseTo(Math.exp(figures.nll), 12);
    expect(figures.perplexity_se).toBeCloseTo(figures.perplexity * figures.nll_se, 12);
  });

  test("--stride lets windows overlap", async () => {
    const { stdout } = await clavis(["eval", "--text", text, "--context", "64", "--stride", "16", "--json"]);
    const { tokens, scored_tokens, windows } = JSON.parse(stdout);
    expect(windows).toBe(Math.floor((tokens - 64) / 16) + 1);
    expect(scored_tokens).toBe(16 * windows);
  });

  test("--against compares with the original", async () => {
    const args = [
      "eval",
      "--text",
      text,
      "--context",
      "128",
      "--mode",
      "reproducible",
      "--against",
      "stories",
    ];
    const same = JSON.parse((await clavis([...args, "--json"])).stdout);
    expect(same).toMatchObject({ kl_mean: 0, kl_max: 0, same_top: 1, original: "stories" });
    expect(same.original_perplexity).toBe(same.perplexity);
    expect((await clavis(args)).stdout).toMatch(/^divergence +0\.000e\+0/m);
  });

  test("--against-mode is the original's mode alone", async () => {
    const args = ["eval", "--text", text, "--context", "128", "--against", "stories", "--json"];
    const { stdout } = await clavis([...args, "--mode", "fast", "--against-mode", "reproducible"]);
    expect(JSON.parse(stdout)).toMatchObject({ mode: "fast", original_mode: "reproducible" });
  });

  test("for people: a line per figure", async () => {
    const { code, stdout } = await clavis(["eval", "--text", text]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Clavis Stories: \w+ \(.+\), \d+ threads?, fast\n\nperplexity +1\.8\d+ +± 0\.\d+\n/,
    );
    expect(stdout).toMatch(/^scored +510 of \d+ tokens +in 2 windows of 512, .+$/m);
  });

  describe("refuses", () => {
    test.each([
      ["a text shorter than a window", ["--text", "-"], "eval.text", 1],
      ["a window longer than the model's context", ["--text", "-", "--context", "600"], "load.context", 2],
      ["a stride as long as the window", ["--text", "-", "--stride", "512"], "eval.stride", 2],
      ["a text that is not there", ["--text", "no/such.txt"], "input.read", 1],
      ["a folder", ["--text", root], "input.read", 1],
    ])("%s", async (_, args, error, exitCode) => {
      const { code, stdout } = await clavis(["eval", ...args, "--json"], { input: "Once upon a time." });
      expect([JSON.parse(stdout).error.code, code]).toEqual([error, exitCode]);
    });

    test("an original whose texts begin otherwise", async () => {
      const bytes = readFileSync(storiesPath);
      const key = "tokenizer.ggml.add_bos_token";
      // A boolean: the key, four bytes of type, one of value.
      const at = bytes.indexOf(key) + key.length + 4;
      expect(bytes[at]).toBe(1);
      bytes[at] = 0;
      const other = join(folder, "without-bos.gguf");
      writeFileSync(other, bytes);
      const { code, stderr } = await clavis(["eval", "--text", text, "--against", other]);
      expect(code).toBe(1);
      expect(stderr).toContain("eval.vocabulary");
    });
  });
});
