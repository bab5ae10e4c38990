#!/usr/bin/env node
// Clavis and llama.cpp in turn on the same synthetic files: how many times as fast, and how much memory.
//
//   mkdir peer && cd peer && npm init -y && npm i node-llama-cpp@3.22.1      (anywhere outside the project)
//   node bench/compare.mjs --peer PEER [--models llama-1b:q4_0,qwen-0.5b:q4_0] [--device auto] [--mode fast]
//                          [--prompt 512] [--generate 64] [--threads 2] [--rounds 5]
//
// Needs ../shared/oracle, which makes the files and asks llama.cpp. Each round is a fresh process of each
// engine, ours and theirs alternating; the ratios are of medians. Prints a table, then one line of JSON.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const shared = join(root, "../shared");
const { values: options } = parseArgs({
  options: {
    peer: { type: "string" },
    models: { type: "string", default: "llama-1b:q4_0,llama-1b:q4_k,llama-1b:q8_0,qwen-0.5b:q4_0" },
    device: { type: "string", default: "auto" },
    mode: { type: "string", default: "fast" },
    prompt: { type: "string", default: "512" },
    generate: { type: "string", default: "64" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
  },
});
if (!options.peer || !existsSync(join(shared, "oracle/oracle.mjs"))) {
  console.error(
    "usage: node bench/compare.mjs --peer FOLDER   (with node-llama-cpp; ../shared/oracle must be there)",
  );
  process.exit(2);
}

function modelFile(shape, type) {
  const folder = join(tmpdir(), "clavis-bench-models");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `llama-${shape}-${type}.gguf`);
  if (!existsSync(path)) {
    const vocab = join(shared, "conformance/tokenizers/llama-spm.gguf");
    const script = join(shared, "oracle/synth-gguf.mjs");
    execFileSync("node", [
      script,
      path,
      "--vocab",
      vocab,
      "--arch",
      "llama",
      "--shape",
      shape,
      "--type",
      type,
    ]);
  }
  return path;
}

const sizes = [
  "--prompt",
  options.prompt,
  "--generate",
  options.generate,
  "--threads",
  options.threads,
  "--rounds",
  "1",
];
const lastJson = (text) => JSON.parse(text.slice(text.indexOf("{")));

function ours(path) {
  const main = join(root, "dist/node/main.js");
  const extra = ["--device", options.device, "--mode", options.mode];
  return lastJson(
    execFileSync("node", [main, "bench", path, "--json", ...sizes, ...extra], { encoding: "utf8" }),
  );
}

function theirs(path) {
  const script = join(shared, "oracle/oracle.mjs");
  return lastJson(
    execFileSync("node", [script, "speed", path, ...sizes], { encoding: "utf8", cwd: options.peer }),
  );
}

function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1], min: sorted[0], max: sorted.at(-1) };
}

const results = [];
for (const name of options.models.split(",")) {
  const [shape, type] = name.split(":");
  const path = modelFile(shape, type);
  const rounds = [];
  for (let round = 0; round < Number(options.rounds); round++)
    rounds.push({ ours: ours(path), theirs: theirs(path) });
  const of = (engine, key) => summary(rounds.map((round) => round[engine][key]));
  const line = { model: name };
  for (const [key, theirKey] of [
    ["generate_tok_s", "generate_tok_s"],
    ["prompt_tok_s", "prompt_tok_s"],
    ["peak_rss_mb", "rss_mb"],
  ]) {
    const [mine, other] = [of("ours", key), of("theirs", theirKey)];
    line[key] = { ours: mine, theirs: other, ratio: Number((mine.median / other.median).toFixed(2)) };
  }
  line.load_ms = { ours: of("ours", "load_ms"), theirs: of("theirs", "load_ms") };
  line.read_gb_s = of("ours", "read_gb_s");
  const { device, kernels } = rounds[0].ours;
  results.push({ ...line, device, kernels, engine: rounds[0].theirs.engine });
  const show = ({ median, min, max }) => `${median.toFixed(1)} (${min.toFixed(1)}–${max.toFixed(1)})`;
  for (const key of ["generate_tok_s", "prompt_tok_s", "peak_rss_mb"]) {
    const { ours: mine, theirs: other, ratio } = line[key];
    console.log(
      `${name.padEnd(16)} ${key.padEnd(15)} ${show(mine).padEnd(24)} ${show(other).padEnd(24)} ${ratio}`,
    );
  }
}
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
console.log(
  JSON.stringify({
    date: new Date().toISOString(),
    commit,
    processor: cpus()[0].model,
    node: process.version,
    options,
    results,
  }),
);
