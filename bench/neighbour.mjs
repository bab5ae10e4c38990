#!/usr/bin/env node
// How much of its speed does a model keep when another process wants one of the cores?
//
//   node bench/neighbour.mjs MODEL.gguf [--prompt 256] [--generate 64] [--rounds 8] [--threads N] [--core 1]
//
// After npm run build, on Linux. Each round reads a prompt and writes an answer twice, alone and beside
// `taskset -c CORE sh -c 'while :; do :; done'`, in turn, so that whatever else the machine does falls on both.
// "others" is the share of the cores' time that other processes took (the neighbour not counted): below 0.05 the
// figures can be trusted. Prints a table, then one line of JSON.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { load } from "../dist/index.js";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    prompt: { type: "string", default: "256" },
    generate: { type: "string", default: "64" },
    rounds: { type: "string", default: "8" },
    threads: { type: "string" },
    core: { type: "string", default: "1" },
  },
});
const [file] = positionals;
if (!file || process.platform !== "linux") {
  console.error("usage: node bench/neighbour.mjs MODEL.gguf   (on Linux)");
  process.exit(2);
}
const [prompt, generate, rounds] = [options.prompt, options.generate, options.rounds].map(Number);
/** Clock ticks a second in /proc, the same on every Linux that Node runs on. */
const ticks = 100;

/** Seconds that all processes had of all cores. Source: proc_stat(5), user to softirq without idle and iowait. */
function busySeconds() {
  const fields = readFileSync("/proc/stat", "latin1").split("\n")[0].trim().split(/\s+/).slice(1).map(Number);
  const [user, nice, system, , , irq, softirq] = fields;
  return (user + nice + system + irq + softirq) / ticks;
}

/** Seconds that one process had. Source: proc_pid_stat(5), utime and stime. */
function secondsOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticks;
}

const model = await load(file, {
  context: prompt + generate,
  threads: options.threads && Number(options.threads),
});
let seed = 0;
/** Text that no earlier prompt begins with. */
const tokens = () => {
  seed++;
  return Array.from({ length: prompt }, (_, i) => 1000 + ((seed * 7919 + i * 104729) % 20000));
};

async function measure(neighbour) {
  const start = performance.now();
  const [all, own, its] = [busySeconds(), secondsOf("self"), neighbour ? secondsOf(neighbour.pid) : 0];
  const settings = { maxTokens: generate, ignoreEnd: true, sampling: { temperature: 0 } };
  const result = await model.generate(tokens(), settings).result;
  const seconds = (performance.now() - start) / 1000;
  const ownSeconds = secondsOf("self") - own;
  const others = busySeconds() - all - ownSeconds - (neighbour ? secondsOf(neighbour.pid) - its : 0);
  return {
    prompt: (prompt / result.promptMs) * 1000,
    generate: ((result.generatedTokens - 1) / result.generateMs) * 1000,
    others: Math.max(0, others / seconds / cpus().length),
    ownCores: ownSeconds / seconds,
  };
}

let neighbour;
process.on("exit", () => neighbour?.kill("SIGKILL"));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

const runs = { alone: [], beside: [] };
await measure();
for (let round = 0; round < rounds; round++) {
  runs.alone.push(await measure());
  neighbour = spawn("taskset", ["-c", options.core, "sh", "-c", "while :; do :; done"], { stdio: "ignore" });
  await once(neighbour, "spawn");
  await new Promise((resolve) => setTimeout(resolve, 200));
  runs.beside.push(await measure(neighbour));
  neighbour.kill("SIGKILL");
  await once(neighbour, "exit");
  neighbour = undefined;
}
const { device, kernels, threads } = model.info;
await model.close();

const sorted = (list, key) => list.map((run) => run[key]).sort((a, b) => a - b);
const median = (values) => values[values.length >> 1];
const line = { file, device, kernels, threads, prompt_tokens: prompt, generate_tokens: generate, rounds };
for (const key of ["generate", "prompt"]) {
  const [alone, beside] = [sorted(runs.alone, key), sorted(runs.beside, key)];
  const kept = runs.alone.map((run, i) => runs.beside[i][key] / run[key]).sort((a, b) => a - b);
  line[key] = {
    alone: median(alone),
    beside: median(beside),
    kept: median(kept),
    least: kept[0],
    most: kept.at(-1),
  };
  const show = (value) => value.toFixed(1).padStart(8);
  console.log(
    `${key.padEnd(9)}${show(median(alone))} → ${show(median(beside))} tokens/s, kept ${median(kept).toFixed(2)}` +
      ` (${kept[0].toFixed(2)}–${kept.at(-1).toFixed(2)})`,
  );
}
for (const [name, list] of Object.entries(runs)) {
  line[name] = { others: median(sorted(list, "others")), own_cores: median(sorted(list, "ownCores")) };
}
console.log(
  `others   ${line.alone.others.toFixed(2)} of the cores alone, ${line.beside.others.toFixed(2)} beside`,
);
console.log(JSON.stringify(line));
