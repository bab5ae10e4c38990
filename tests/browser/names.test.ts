import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../support/shared.ts";

/** The names that a module exports, types included, and where each comes from. */
function exportsOf(file: string): Map<string, string> {
  const source = readFileSync(join(root, "src", file), "utf8");
  const names = new Map<string, string>();
  for (const [, list, from] of source.matchAll(/^export (?:type )?\{([^}]+)\} from "([^"]+)"/gm)) {
    for (const name of list.split(",")) names.set(name.replace(/^\s*type\s/, "").trim(), from);
  }
  for (const [, name] of source.matchAll(
    /^export (?:async )?(?:function|type|class|const|interface) (\w+)/gm,
  )) {
    names.set(name, file);
  }
  names.delete("");
  return names;
}

/** Keys and signatures of folders are of no use in a page, and a page is not told of the machine's processor. */
const forNode = (name: string, from: string) =>
  /^\.\/protect\//.test(from) || /^(Machine|measureMachine|DeviceMeasurement)$/.test(name);

test("browsers have the names that Node has, types included, but those for signing and measuring", () => {
  const names = [...exportsOf("index.ts")].filter((entry) => !forNode(...entry)).map(([name]) => name);
  expect(names).toContain("pull");
  expect(names).toContain("load");
  expect(names).toContain("ModelSource");
  expect(names).toContain("LoadOptions");
  expect([...exportsOf("browser.ts").keys()].sort()).toEqual(names.sort());
});
