import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import asc from "assemblyscript/asc";

const root = join(import.meta.dirname, "../..");
const sources = "kernels/wasm";

/** The matrix kernels by themselves; arguments as in kernels/wasm/. */
export interface Kernels {
  readonly memory: WebAssembly.Memory;
  packedBytes(format: number, rows: number, width: number): number;
  packRows(format: number, source: number, target: number, rows: number, width: number): void;
  quantizeRow(x: number, out: number, n: number): void;
  scratchBytes(format: number, k: number): number;
  matmulTile(
    ...args: [
      format: number,
      out: number,
      outStride: number,
      a: number,
      aStride: number,
      rows: number,
      weight: number,
      n: number,
      k: number,
      bias: number,
      residual: number,
      residualStride: number,
      first: number,
      last: number,
      scratch: number,
    ]
  ): void;
  gatherRow(format: number, weight: number, n: number, width: number, row: number, out: number): void;
}

export type Build = "relaxed" | "simd";

/** Compiles matmul.ts, pack.ts, quantize.ts and gather.ts as one module, unless it is there and up to date. */
async function compiled(build: Build): Promise<Uint8Array<ArrayBuffer>> {
  const out = join("dist/kernels", `test-matmul-${build}.wasm`);
  const files = readdirSync(join(root, sources), { recursive: true, withFileTypes: true })
    .filter((file) => file.name.endsWith(".ts"))
    .map((file) => join(file.parentPath, file.name));
  const newest = Math.max(...files.map((file) => statSync(file).mtimeMs));
  if (!existsSync(join(root, out)) || statSync(join(root, out)).mtimeMs < newest) {
    mkdirSync(join(root, "dist/kernels"), { recursive: true });
    const entries = ["matmul", "pack", "quantize", "gather"].map((name) => `${sources}/${name}.ts`);
    const relaxed = build === "relaxed";
    const part = `${out}.${process.pid}`;
    const { error, stderr } = await asc.main([
      ...entries,
      ...["--baseDir", root, "--outFile", part, "-O3", "--noAssert", "--runtime", "stub", "--importMemory"],
      ...["--enable", relaxed ? "simd,relaxed-simd" : "simd", "--use", `RELAXED=${relaxed ? 1 : 0}`],
    ]);
    if (error) throw new Error(`${error.message}\n${stderr}`);
    renameSync(join(root, part), join(root, out));
  }
  return new Uint8Array(readFileSync(join(root, out)));
}

/** The kernels of a build with `bytes` of memory. */
export async function loadKernels(build: Build, bytes: number): Promise<Kernels> {
  // Node 20 knows relaxed SIMD only behind a flag.
  // Node 20 knows relaxed SIMD only behind this flag; later ones do not know the flag.
  if (process.versions.node.startsWith("20.")) setFlagsFromString("--experimental-wasm-relaxed-simd");
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) });
  const module = await WebAssembly.compile(await compiled(build));
  const instance = await WebAssembly.instantiate(module, { env: { memory } });
  return { ...(instance.exports as unknown as Kernels), memory };
}
