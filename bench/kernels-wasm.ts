/**
 * How fast are the matrix kernels of the WebAssembly device, per weight format?
 *
 *   npx rolldown bench/kernels-wasm.ts --platform node --external assemblyscript/asc --file dist/bench/kernels-wasm.mjs
 *   node dist/bench/kernels-wasm.mjs [--build relaxed|simd] [FORMAT…]
 *
 * One thread. One row of activations: packed bytes of weights per second (a token reads every weight once).
 * 2, 4 and 64 rows: operations per second, two for a multiplication and an addition. The matrix, 4096 wide, is
 * larger than the caches: about 96 MiB packed, or as many MiB as the variable MIB says. Processor time, so that
 * other work on the machine counts less; best of five passes. Ends in one line of JSON.
 */
import { tensorTypes } from "../src/bytes/types.ts";
import { f32RowBytes, q8RowBytes } from "../src/plan/tape.ts";
import { type Build, loadKernels } from "../tests/kernels/matmul-module.ts";

const names = [
  ...(["Q4_0", "Q8_0", "Q4_K", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q5_K", "Q6_K"] as const),
  ...(["IQ4_NL", "IQ4_XS", "TQ2_0", "MXFP4", "F16", "BF16", "F32"] as const),
];
const args = process.argv.slice(2);
const buildAt = args.indexOf("--build");
const build = (buildAt < 0 ? "relaxed" : args.splice(buildAt, 2)[1]) as Build;
const chosen = names.filter((name) => args.length === 0 || args.includes(name));

const width = 4096;
const matrixBytes = Number(process.env.MIB ?? 96) << 20;
const passes = 5;
/** Columns in one call, as many as the device's threads take at a time. */
const chunk = 64;

const kernels = await loadKernels(build, 2 * matrixBytes + (8 << 20));
const bytes = new Uint8Array(kernels.memory.buffer);

/** Seconds of the quickest of several passes over the matrix, and what `pack` took, in bytes per second. */
function measure(name: (typeof names)[number], rowCounts: readonly number[]) {
  const { id: format, block, bytes: blockBytes } = tensorTypes[name];
  const rowBytes = (width / block) * blockBytes;
  const n = Math.floor(matrixBytes / rowBytes / chunk) * chunk;
  const packed = 1024;
  const size = kernels.packedBytes(format, n, width);
  const source = Math.ceil((packed + size) / 64) * 64;
  // Any bits, but with exponents (in the last byte) neither huge nor subnormal, which would be slower.
  for (let i = 0; i < n * rowBytes; i++)
    bytes[source + i] = ((Math.imul(i, 0x9e3779b1) >>> 24) & 0x1f) | 0x20;
  const packSeconds = best(3, () => kernels.packRows(format, source, packed, n, width));
  const floats = name === "F32" || name === "F16" || name === "BF16";
  const rows = Math.max(...rowCounts);
  const aStride = floats ? f32RowBytes(width) : q8RowBytes(width);
  const x = source;
  const a = x + width * 4;
  const outStride = f32RowBytes(n);
  const scratch = a + rows * aStride;
  const out = scratch + Math.ceil(kernels.scratchBytes(format, width) / 64) * 64;
  const values = new Float32Array(kernels.memory.buffer, x, width);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < width; i++) values[i] = Math.sin(i * 7 + r);
    if (floats) bytes.copyWithin(a + r * aStride, x, x + width * 4);
    else kernels.quantizeRow(x, a + r * aStride, width);
  }
  return {
    size,
    pack: (n * rowBytes) / packSeconds,
    seconds: rowCounts.map((count) => {
      // For many rows a part of the matrix lasts long enough.
      const columns = Math.max(chunk, Math.floor(n / Math.max(1, count / 4) / chunk) * chunk);
      const pass = best(passes, () => {
        for (let first = 0; first < columns; first += chunk) {
          kernels.matmulTile(
            ...([format, out, outStride, a, aStride, count, packed, n, width, 0, 0, 0] as const),
            ...([first, first + chunk, scratch] as const),
          );
        }
      });
      return (pass * n) / columns;
    }),
    operations: 2 * n * width,
  };
}

function best(times: number, run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < times; i++) {
    const start = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(start);
    least = Math.min(least, user + system);
  }
  return least / 1e6;
}

const rowCounts = [1, 2, 4, 64];
const round = (value: number): number => Math.round(value / 1e7) / 100;
const results: Record<string, Record<string, number>> = {};
process.stdout.write(`${build}: format   1 row GB/s   2, 4, 64 rows GOPS   packing GB/s\n`);
for (const name of chosen) {
  const { size, pack, seconds, operations } = measure(name, rowCounts);
  const [two, four, many] = rowCounts
    .slice(1)
    .map((count, i) => round((operations * count) / seconds[i + 1]));
  results[name] = {
    gbps: round(size / seconds[0]),
    gops2: two,
    gops4: four,
    gops64: many,
    pack: round(pack),
  };
  process.stdout.write(`${name.padEnd(8)} ${Object.values(results[name]).join("  ")}\n`);
}
process.stdout.write(`${JSON.stringify({ bench: "kernels-wasm", build, node: process.version, results })}\n`);
