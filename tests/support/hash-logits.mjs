// Runs models on the native device of a compiled package and prints, per model, the level of instructions and a
// hash of all logits' bits. For other processors under an emulator, where the tests' own tools do not run.
//
//   node hash-logits.mjs DIST MODEL…
import { createHash } from "node:crypto";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [dist, ...paths] = process.argv.slice(2);
const from = (name) => import(pathToFileURL(join(dist, name)).href);
const { openGguf } = await from("bytes/gguf.js");
const { openFile } = await from("bytes/node-file.js");
const { buildGraph } = await from("models/architecture.js");
const { architectures } = await from("models/index.js");
const { makePlan } = await from("plan/planner.js");
const { nativeDevice } = await from("devices/native/device.js");

const device = nativeDevice({ threads: 2 });
for (const path of paths) {
  const source = await openFile(path);
  const graph = await buildGraph(await openGguf(source), architectures, 64);
  const plan = makePlan(graph, {
    mode: "reproducible",
    kvType: "f16",
    limits: { tokens: 32, wanted: 1, sequences: 1, pagesPerSequence: 2 },
    pages: 2,
    packedType: device.packedType,
  });
  const program = await device.program(plan);
  const hash = createHash("sha256");
  let position = 0;
  for (const length of [21, 1, 9, 1]) {
    const tokens = Int32Array.from({ length }, (_, i) => ((i + position) * 7919 + 13) % 1000);
    const logits = await program.run({
      tokens,
      positions: tokens.map((_, i) => position + i),
      slots: new Int32Array(length),
      pageTables: [Int32Array.of(1, 0)],
      wanted: Int32Array.of(length - 1),
    });
    hash.update(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
    position += length;
  }
  await program.close();
  await source.close();
  process.stdout.write(`${(await device.describe()).kernels} ${hash.digest("hex")}\n`);
}
