import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../support/shared.ts";

/** The names that a module exports, types included. */
function exportedNames(file: string): string[] {
  const source = readFileSync(join(root, "src", file), "utf8");
  const lists = [...source.matchAll(/^export (?:type )?\{([^}]+)\}/gm)].flatMap(([, list]) =>
    list.split(","),
  );
  const declared = [...source.matchAll(/^export (?:async )?(?:function|type|class|const|interface) (\w+)/gm)];
  return [...lists.map((name) => name.replace(/^\s*type\s/, "").trim()), ...declared.map(([, name]) => name)]
    .filter((name) => name !== "")
    .sort();
}

test("browsers have the names that Node has, types included", () => {
  const names = exportedNames("index.ts");
  expect(names).toContain("load");
  expect(names).toContain("ModelSource");
  expect(exportedNames("browser.ts")).toEqual(names);
});
