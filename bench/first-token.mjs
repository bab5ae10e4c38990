#!/usr/bin/env node
// From starting a process to the end of one that answered one token: Clavis and llama.cpp in turn on the same file,
// which the page cache holds. The processes' own start counts.
//
//   mkdir peer && cd peer && npm init -y && npm i node-llama-cpp@3.22.1      (anywhere outside the project)
//   node bench/first-token.mjs MODEL.gguf --peer PEER [--rounds 9] [--threads 2] [--context 640]
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peer: { type: "string" },
    rounds: { type: "string", default: "9" },
    threads: { type: "string", default: "2" },
    context: { type: "string", default: "640" },
  },
});
if (!options.peer || positionals.length !== 1) {
  console.error("usage: node bench/first-token.mjs MODEL.gguf --peer FOLDER   (with node-llama-cpp)");
  process.exit(2);
}
const model = resolve(positionals[0]);
const prompt = "Hello there, once upon a time";
const main = join(fileURLToPath(new URL("..", import.meta.url)), "dist/node/main.js");

// As little as answers one token.
const theirs = `
import { getLlama } from "node-llama-cpp";
const threads = ${Number(options.threads)};
const llama = await getLlama({ gpu: false, logLevel: "error", maxThreads: threads });
const model = await llama.loadModel({ modelPath: ${JSON.stringify(model)}, gpuLayers: 0 });
const context = await model.createContext({ contextSize: ${Number(options.context)}, threads, flashAttention: true });
const tokens = model.tokenize(${JSON.stringify(prompt)});
for await (const token of context.getSequence().evaluate(tokens, { temperature: 0, yieldEogToken: true })) {
  console.log(token);
  break;
}
process.exit(0);
`;

function timed(args, cwd) {
  const start = performance.now();
  execFileSync(process.execPath, args, { cwd, stdio: ["ignore", "pipe", "ignore"] });
  return performance.now() - start;
}

const limits = [
  "--max-tokens",
  "1",
  "--temp",
  "0",
  "--context",
  options.context,
  "--threads",
  options.threads,
];
const runs = {
  clavis: () => timed([main, "run", model, "--raw", prompt, ...limits]),
  "llama.cpp": () => timed(["--input-type=module", "--eval", theirs], options.peer),
};

// Once through the file, so that neither engine waits for the disk.
readFileSync(model);
const times = { clavis: [], "llama.cpp": [] };
for (let round = 0; round <= Number(options.rounds); round++) {
  for (const [engine, run] of Object.entries(runs)) {
    const ms = run();
    // The first round is for the caches.
    if (round > 0) times[engine].push(ms);
  }
}
const medians = Object.entries(times).map(([engine, list]) => {
  list.sort((a, b) => a - b);
  const median = list[list.length >> 1];
  console.log(
    `${engine.padEnd(10)} ${median.toFixed(0)} ms (${list[0].toFixed(0)} – ${list.at(-1).toFixed(0)})`,
  );
  return median;
});
console.log(`ratio      ${(medians[0] / medians[1]).toFixed(2)}`);
