import { describe, expect, test } from "vitest";
import { knownModels } from "../../src/store/known-models.ts";
import { isModelName, isSafePath, suggestions } from "../../src/store/names.ts";
import { parseLocalName } from "../../src/store/node-names.ts";
import { chooseFiles, quantOf } from "../../src/store/quants.ts";

describe("names", () => {
  test.each([
    ["org/repo", { kind: "hub", repo: "org/repo", revision: "main" }],
    ["org/repo:Q8_0", { kind: "hub", repo: "org/repo", quant: "Q8_0" }],
    ["org/repo:latest", { kind: "hub", repo: "org/repo", revision: "main" }],
    ["org/repo@v1.0:q4_k_m", { kind: "hub", repo: "org/repo", revision: "v1.0", quant: "q4_k_m" }],
    ["hf.co/org/repo", { kind: "hub", repo: "org/repo" }],
    ["hf.co/org/repo:Q4_0", { kind: "hub", repo: "org/repo", quant: "Q4_0" }],
    ["hf.co/org/repo/folder/file.gguf", { kind: "hub", repo: "org/repo", file: "folder/file.gguf" }],
    ["huggingface.co/org/repo/file.gguf", { kind: "hub", file: "file.gguf" }],
    [
      "https://huggingface.co/org/repo/resolve/v2/file.gguf?download=true",
      { kind: "hub", repo: "org/repo", revision: "v2", file: "file.gguf" },
    ],
    ["https://huggingface.co/org/repo/blob/main/a%20b.gguf", { kind: "hub", file: "a b.gguf" }],
    ["https://example.org/models/file.gguf", { kind: "url" }],
    ["http://127.0.0.1:8080/file.gguf", { kind: "url" }],
    ["stories", { kind: "builtIn" }],
    ["model.gguf", { kind: "path", path: "model.gguf" }],
    ["folder/model.gguf", { kind: "path", path: "folder/model.gguf" }],
    ["./org/repo", { kind: "path", path: "./org/repo" }],
    ["/models/repo", { kind: "path", path: "/models/repo" }],
    ["C:\\models\\repo", { kind: "path" }],
    ["src/store", { kind: "path", path: "src/store" }], // is there
    ["qwen3:0.6b", { kind: "hub", repo: "Qwen/Qwen3-0.6B-GGUF", preferred: "Q8_0" }],
    ["Qwen3", { kind: "hub", repo: "Qwen/Qwen3-0.6B-GGUF" }],
  ])("%s", (text, expected) => {
    expect(parseLocalName(text)).toMatchObject(expected);
  });

  test.each([
    "hf.co/../../etc/passwd",
    "hf.co/org",
    "hf.co/org/..",
    "hf.co/org/repo/../../../file.gguf",
    "hf.co/org/repo/folder//file.gguf",
    "hf.co/org/repo/..\\..\\file.gguf",
    "https://huggingface.co/org/repo/resolve/main/..%2f..%2ffile.gguf",
    "https://huggingface.co/org/repo/resolve/..%5c..%5cfile.gguf",
    "https://huggingface.co/org/repo/resolve/main/a%00b.gguf",
    "https://huggingface.co/org/repo/resolve/main/%zz",
    "org/repo@../x",
    "org/repo@a/../../b:Q4_0",
    "org/re--po",
    ".org/repo",
    "org/repo:Q4/../../x",
    "https://name:secret@example.org/file.gguf",
  ])("%s is refused, or is a path that is not followed", (text) => {
    try {
      const name = parseLocalName(text);
      expect(name.kind).toBe("path");
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^model\.(name|file_name)$/) });
    }
  });

  test("dots that an address resolves are gone before the name is read", () => {
    const name = parseLocalName("https://huggingface.co/org/repo/resolve/main/%2e%2e/%2e%2e/file.gguf");
    expect(name).toMatchObject({ kind: "hub", repo: "org/repo", revision: "main", file: "file.gguf" });
  });

  test("the password of an address is not repeated", () => {
    expect(() => parseLocalName("https://name:secret@example.org/file.gguf")).toThrow(/^(?!.*secret).*$/s);
  });

  test("well-known names are models; words of a prompt are not", () => {
    expect(["stories", "qwen3:0.6b", "smollm2:360m", "llama3.2"].map(isModelName)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(["Hello", "note:this", "constructor", "__proto__", ""].map(isModelName)).not.toContain(true);
  });

  test("every well-known name can be typed, and has a repository and a quantisation that can be asked for", () => {
    for (const [name, { repo, quant }] of Object.entries(knownModels)) {
      expect(name).toMatch(/^[a-z][a-z0-9.-]*:[a-z0-9.-]+$/);
      expect(isModelName(name)).toBe(true);
      expect(parseLocalName(name)).toMatchObject({ kind: "hub", repo, revision: "main", preferred: quant });
      expect(parseLocalName(`${repo}:${quant}`)).toMatchObject({ kind: "hub", repo, quant });
      expect(repo).toMatch(/-GGUF$/);
      // It is taken where it is there, and the order of preference knows it where it is the only one.
      const [one, other] = [`x-${quant}.gguf`, "x-Q2_K.gguf"].map((path) => ({ path, size: 1 }));
      expect(chooseFiles(repo, [other, one], { preferred: quant }).files).toEqual([one]);
      expect(chooseFiles(repo, [other, one], {}).files).toEqual([one]);
    }
    const repos = Object.values(knownModels).map(({ repo }) => repo.toLowerCase());
    expect(new Set(repos).size).toBe(repos.length);
  });

  test("a family's name stands for its first entry, smallest first where that is useful", () => {
    const first = ["qwen3", "llama3.2", "gemma3", "smollm2", "deepseek-r1", "mistral", "phi4-mini"].map(
      (family) => (parseLocalName(family) as { repo: string }).repo,
    );
    expect(first).toEqual(
      [
        "qwen3:0.6b",
        "llama3.2:1b",
        "gemma3:1b",
        "smollm2:360m",
        "deepseek-r1:1.5b",
        "mistral:7b",
        "phi4-mini:3.8b",
      ].map((name) => knownModels[name].repo),
    );
  });

  test.each([
    ["qwn3", ["qwen3:0.6b", "qwen3:1.7b"]],
    ["qwen3:5b", ["qwen3:4b", "qwen3:8b"]],
    ["qwen3:600m", ["qwen3:0.6b"]],
    ["llama3.2:1", ["llama3.2:1b", "llama3.2:3b"]],
    ["lama3.2", ["llama3.2:1b"]],
    ["gemma3:1b-it", ["gemma3:1b"]],
    ["storeis", ["stories"]],
    ["Gemma", ["gemma3:1b"]],
    ["xyz", ["stories", "qwen3:0.6b", "llama3.2:1b", "gemma3:1b"]],
    ["", ["stories"]],
  ])("%j may have meant %j", (word, expected) => {
    const found = suggestions(word);
    expect(found).toEqual(expect.arrayContaining(expected));
    expect(found.length).toBeLessThanOrEqual(6);
    for (const name of found) expect(isModelName(name)).toBe(true);
  });

  test("paths that could leave their folder on some system are not safe", () => {
    const unsafe = [
      "..",
      "a/../b",
      "/a",
      "a//b",
      "a/",
      "",
      "a\\b",
      "c:a",
      "a\u0000",
      "a\n",
      ".",
      "a/. /b",
      "a/b.",
      "a".repeat(300),
    ];
    expect(unsafe.filter(isSafePath)).toEqual([]);
    expect(["a.gguf", "folder/a b.gguf", "..a", "a..b"].filter(isSafePath)).toHaveLength(4);
  });
});

describe("quantisations", () => {
  test.each([
    ["qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"],
    ["Llama-3.2-1B-Instruct-IQ3_M.gguf", "IQ3_M"],
    ["Qwen3-4B-UD-Q4_K_XL.gguf", "Q4_K_XL"],
    ["model.Q8_0.gguf", "Q8_0"],
    ["gemma-3-1b-it-f16.gguf", "F16"],
    ["Phi-3-mini-4k-instruct-q4.gguf", "Q4"],
    ["gpt-oss-20b-mxfp4.gguf", "MXFP4"],
    ["folder-Q8_0/model-Q4_0-00001-of-00002.gguf", "Q4_0"],
    ["model.gguf", undefined],
  ])("%s → %s", (path, expected) => {
    expect(quantOf(path)).toBe(expected);
  });

  const files = (...paths: string[]) => paths.map((path) => ({ path, size: 1 }));

  test("Q4_K_M is taken first, then what is nearest", () => {
    const all = ["m-Q2_K.gguf", "m-Q8_0.gguf", "m-Q4_0.gguf", "m-Q4_K_M.gguf", "m-F16.gguf"];
    expect(chooseFiles("o/r", files(...all), {})).toMatchObject({ quant: "Q4_K_M", chosen: true });
    expect(chooseFiles("o/r", files(...all.slice(0, 3)), {})).toMatchObject({ quant: "Q4_0" });
    expect(chooseFiles("o/r", files("m-F16.gguf", "m-Q8_0.gguf"), {})).toMatchObject({ quant: "Q8_0" });
    expect(chooseFiles("o/r", files("m.gguf"), {})).toMatchObject({ quant: undefined, chosen: false });
    expect(chooseFiles("o/r", files("m-Q2_K.gguf", "mmproj-Q4_0.gguf"), {})).toMatchObject({ quant: "Q2_K" });
  });

  test("a well-known name's own quantisation goes first, another one serves where it is not there", () => {
    const preferred = { preferred: "Q8_0" };
    expect(chooseFiles("o/r", files("m-Q4_K_M.gguf", "m-Q8_0.gguf"), preferred).quant).toBe("Q8_0");
    expect(chooseFiles("o/r", files("m-Q4_K_M.gguf"), preferred).quant).toBe("Q4_K_M");
  });

  test("a split model is all of its parts", () => {
    const parts = files("m-Q4_0-00002-of-00002.gguf", "m-Q4_0-00001-of-00002.gguf");
    expect(chooseFiles("o/r", parts, {}).files.map(({ path }) => path)).toEqual([
      parts[1].path,
      parts[0].path,
    ]);
    expect(() => chooseFiles("o/r", [parts[1]], {})).toThrow("model.parts_missing");
  });

  test("what is not there is told with what is", () => {
    expect(() => chooseFiles("o/r", files("m-Q4_0.gguf"), { quant: "Q8_0" })).toThrow(
      /model\.no_quant.*Q4_0/,
    );
    expect(() => chooseFiles("o/r", files("m-Q4_0.gguf"), { file: "n.gguf" })).toThrow(
      /model\.no_file.*m-Q4_0/,
    );
    expect(() => chooseFiles("o/r", files("README.md", "../m.gguf"), {})).toThrow("model.no_file");
  });
});
