import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "./support/shared.ts";

const src = join(root, "src");

/** Folders in the order of the data's way; a file imports only from its own folder and those before it. */
const order = [
  "errors.ts",
  "node-package.ts",
  "bytes",
  "tokens",
  "graph",
  "models",
  "plan",
  "devices",
  "generate",
  "compress",
  "measure",
  "protect",
  "store",
  "model.ts",
  "index.ts",
  "browser.ts",
  "serve",
  "cli",
];

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => name.split(sep).join("/"));

const importPattern = /(?:from|import)\s*\(?\s*"([^"]+)"/g;

function importsOf(file: string): string[] {
  return [...readFileSync(join(src, file), "utf8").matchAll(importPattern)].map((match) => match[1]);
}

const place = (file: string): number => order.indexOf(file.split("/")[0]);

describe("structure of src/", () => {
  test("every file lies in a known folder", () => {
    expect(files.filter((file) => place(file) < 0)).toEqual([]);
  });

  test("a folder imports only from those before it", () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((name) => name.startsWith("."))
        .map((name) =>
          relative(src, join(src, dirname(file), name))
            .split(sep)
            .join("/"),
        )
        .filter((target) => place(target) > place(file))
        .map((target) => `${file} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test("only files named for Node, the store, the index and the command import Node's modules", () => {
    const mayUseNode = (file: string) =>
      /^(cli|serve|store)\//.test(file) || file === "index.ts" || /(^|\/|-)node[^/]*\.ts$/.test(file);
    const wrong = files.filter(
      (file) => !mayUseNode(file) && importsOf(file).some((name) => name.startsWith("node:")),
    );
    expect(wrong).toEqual([]);
  });
});
