/**
 * How many times as fast as wllama is Clavis in a browser?
 *
 *   mkdir peer && cd peer && npm init -y && npm i @wllama/wllama@2.4.0      (anywhere outside the project)
 *   npm run bench:browser -- --peer PEER [--models stories,llama:qwen-0.5b:q4_0] [--prompt 256] [--generate 64]
 *                            [--threads 2] [--turns 3] [--rounds 3]
 *
 * Headless Chromium, a cross-origin isolated page, the same file for both. The engines take turns, each on a
 * fresh page: one round to warm up, then the rounds that count. Ratios are of medians over all rounds of all
 * turns; `best` compares the best rounds, for a machine that does other work. A model is `stories`, the one in the
 * package, or ARCH:SHAPE:TYPE as ../shared/oracle/synth-gguf.mjs makes it. Prints a table, then a line of JSON.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromiumPath, openChromium } from "../../tests/support/chromium.ts";
import { openSite } from "../../tests/support/site.ts";

interface Turn {
  readonly loadMs: number;
  readonly threads: number;
  readonly engine: string;
  readonly rounds: readonly { readonly prompt: number; readonly generate: number }[];
}

// Two folders below the project's, also where this is bundled to.
const root = fileURLToPath(new URL("../..", import.meta.url));
const { values: options } = parseArgs({
  options: {
    peer: { type: "string" },
    models: { type: "string", default: "stories,llama:qwen-0.5b:q4_0" },
    prompt: { type: "string", default: "256" },
    generate: { type: "string", default: "64" },
    threads: { type: "string", default: "2" },
    turns: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
  },
});
const peer = join(options.peer ?? "", "node_modules/@wllama/wllama");
if (!options.peer || !existsSync(peer) || !chromiumPath) {
  console.error(
    "usage: npm run bench:browser -- --peer FOLDER   (with @wllama/wllama; Chromium must be there)",
  );
  process.exit(2);
}

const folder = join(tmpdir(), "clavis-bench-models");
mkdirSync(folder, { recursive: true });

/** The path below the site of a model's file, which is made where it is not there. */
function modelFile(model: string): string {
  if (model === "stories") return "../models/clavis-stories-q8_0.gguf";
  const [arch, shape, type] = model.split(":");
  const name = `${arch}-${shape}-${type}.gguf`;
  const shared = join(root, "../shared");
  if (!existsSync(join(folder, name))) {
    const vocab = join(shared, "conformance/tokenizers/llama-spm.gguf");
    const flags = ["--vocab", vocab, "--arch", arch, "--shape", shape, "--type", type];
    execFileSync("node", [join(shared, "oracle/synth-gguf.mjs"), join(folder, name), ...flags]);
  }
  return `../made/${name}`;
}

const site = await openSite({
  page: join(root, "bench/browser/page"),
  clavis: join(root, "dist/browser"),
  models: join(root, "models"),
  made: folder,
  wllama: peer,
});
const browser = await openChromium();

async function turn(engine: "clavis" | "wllama", source: string): Promise<Turn> {
  const page = await browser.newPage();
  await page.goto(`${site.origin}/isolated/page/index.html`);
  await page.waitForFunction(() => "bench" in globalThis);
  const call = ([name, data]: [string, object]) =>
    (globalThis as unknown as { bench(...args: unknown[]): Promise<Turn> }).bench(name, data);
  const numbers = Object.fromEntries(
    (["prompt", "generate", "threads", "rounds"] as const).map((name) => [name, Number(options[name])]),
  );
  const result = await page.evaluate(call, [engine, { source, ...numbers }] as [string, object]);
  await page.close();
  return result;
}

function summary(values: readonly number[]): { median: number; least: number; most: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
  return { median, least: sorted[0], most: sorted[sorted.length - 1] };
}

const results: object[] = [];
for (const model of options.models.split(",")) {
  const source = modelFile(model);
  const [ours, theirs]: [Turn[], Turn[]] = [[], []];
  for (let i = 0; i < Number(options.turns); i++) {
    ours.push(await turn("clavis", source));
    theirs.push(await turn("wllama", source));
  }
  const figures = (["generate", "prompt"] as const).map((kind) => {
    const of = (turns: Turn[]) => summary(turns.flatMap(({ rounds }) => rounds.map((round) => round[kind])));
    const [mine, other] = [of(ours), of(theirs)];
    const ratio = Number((mine.median / other.median).toFixed(2));
    const best = Number((mine.most / other.most).toFixed(2));
    const show = ({ median, least, most }: ReturnType<typeof summary>) =>
      `${median.toFixed(1)} (${least.toFixed(1)}–${most.toFixed(1)})`.padEnd(26);
    console.log(`${model.padEnd(22)} ${kind.padEnd(9)} ${show(mine)} ${show(other)} ${ratio}  best ${best}`);
    return [`${kind}_tok_s`, { clavis: mine, wllama: other, ratio, best_ratio: best }] as const;
  });
  const loads = (turns: Turn[]) => summary(turns.map(({ loadMs }) => loadMs)).median;
  results.push({
    model,
    ...Object.fromEntries(figures),
    load_ms: { clavis: loads(ours), wllama: loads(theirs) },
    threads: { clavis: ours[0].threads, wllama: theirs[0].threads },
    kernels: ours[0].engine,
    wllama: theirs[0].engine,
  });
}
const version = (path: string) => JSON.parse(readFileSync(path, "utf8")).version as string;
console.log(
  JSON.stringify({
    date: new Date().toISOString(),
    commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim(),
    processor: cpus()[0].model,
    processors: cpus().length,
    chromium: browser.version(),
    clavis: version(join(root, "package.json")),
    wllama: version(join(peer, "package.json")),
    options: { ...options, peer: undefined },
    results,
  }),
);
await browser.close();
await site.close();
