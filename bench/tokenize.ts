/**
 * How fast do the tokenizers encode, and how long does reading a vocabulary take?
 *
 *   npx rolldown bench/tokenize.ts --platform node --file dist/bench/tokenize.mjs
 *   node dist/bench/tokenize.mjs [FILE.gguf …]
 *
 * Without files: the model that comes with the package and, where they are, the published vocabularies
 * of ../shared. One thread, processor time, so that other work on the machine counts less; the first
 * round, and the best of twelve. Ends in one line of JSON.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { openGguf } from "../src/bytes/gguf.ts";
import { openFile } from "../src/bytes/node-file.ts";
import { createTokenizer } from "../src/tokens/tokenizer.ts";

const rounds = 12;

const published = "../shared/conformance/tokenizers";
const inShared = existsSync(published)
  ? readdirSync(published)
      .filter((name) => name.endsWith(".gguf"))
      .map((name) => `${published}/${name}`)
  : [];
const files =
  process.argv.length > 2 ? process.argv.slice(2) : ["models/clavis-stories-q8_0.gguf", ...inShared];

const read = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : undefined);
const texts = {
  stories: read("../shared/models/own-stories.txt"),
  documentation: `${read("models/MODEL-CARD.md") ?? ""}${read("../shared/conformance/gguf-spec/gguf.md") ?? ""}`,
  code: read("src/tokens/chat-template.ts"),
};

/** Processor time of a call, in milliseconds. */
function timed<Result>(call: () => Result): { result: Result; ms: number } {
  const start = process.cpuUsage();
  const result = call();
  const { user, system } = process.cpuUsage(start);
  return { result, ms: (user + system) / 1000 };
}

const rows = [];
for (const file of files) {
  const source = await openFile(file);
  const { metadata } = await openGguf(source);
  await source.close();
  const constructions = Array.from({ length: 5 }, () => timed(() => createTokenizer(metadata)));
  const { result: tokenizer } = constructions[0];
  const row: Record<string, string | number> = {
    file: basename(file),
    kind: tokenizer.kind,
    tokens: tokenizer.vocabularySize,
    construct_ms: Math.min(...constructions.map(({ ms }) => ms)),
  };
  for (const [name, text] of Object.entries(texts)) {
    if (text === undefined) continue;
    const passes = Array.from({ length: rounds }, () => timed(() => tokenizer.encode(text)));
    const count = passes[0].result.length;
    row[`${name}_first`] = count / passes[0].ms / 1000;
    row[name] = count / Math.min(...passes.map(({ ms }) => ms)) / 1000;
  }
  rows.push(row);
}

const shown = (value: string | number) =>
  typeof value === "string" || Number.isInteger(value) ? value : Number(value.toFixed(2));
console.log("Millions of tokens a second: in the first round, and the best of all rounds.");
console.table(
  rows.map((row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, shown(value)]))),
);
console.log(JSON.stringify(rows));
