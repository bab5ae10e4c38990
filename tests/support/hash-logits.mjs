// Runs models on the native device of a compiled package and prints as JSON the levels of instructions that it has, the
// level that computed, and per model a hash of its greedy tokens' logits. For other processors under an emulator, where the tests' own tools do not run.
//
//   node hash-logits.mjs DIST THREADS TOKENS:MODEL…
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { greedyHash } from "./greedy-hash.mjs";

const [dist, threads, ...models] = process.argv.slice(2);
const from = (name) => import(pathToFileURL(join(dist, name)).href);
const { openGguf } = await from("bytes/gguf.js");
const { openFile } = await from("bytes/node-file.js");
const { buildGraph } = await from("models/architecture.js");
const { architectures } = await from("models/index.js");
const { makePlan } = await from("plan/planner.js");
const { nativeDevice } = await from("devices/native/device.js");

const device = nativeDevice({ threads: Number(threads) });
const hashes = [];
for (const [, tokens, path] of models.map((model) => /^(\d+):(.+)$/.exec(model))) {
  const source = await openFile(path);
  const graph = await buildGraph(await openGguf(source), architectures, 96);
  const plan = makePlan(graph, {
    mode: "reproducible",
    kvType: "f16",
    limits: { tokens: 32, wanted: 1, sequences: 1, pagesPerSequence: 3 },
    pages: 3,
    packedType: device.packedType,
    packedRowBytes: device.packedRowBytes,
  });
  const program = await device.program(plan);
  let position = 0;
  const step = (ids) => {
    const positions = Int32Array.from(ids, (_, i) => position + i);
    position += ids.length;
    return program.run({
      tokens: Int32Array.from(ids),
      positions,
      slots: new Int32Array(ids.length),
      // Pages out of order, so that a position is not its place in the cache.
      pageTables: [Int32Array.of(1, 2, 0)],
      wanted: Int32Array.of(ids.length - 1),
    });
  };
  hashes.push(await greedyHash(step, plan.vocabulary, Number(tokens)));
  await program.close();
  await source.close();
}
const { kernels: level } = await device.describe();
process.stdout.write(JSON.stringify({ levels: device.levels(), level, hashes }));
