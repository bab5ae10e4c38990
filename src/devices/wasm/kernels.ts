/** What the module exports (kernels/wasm/index.ts). Addresses above 2^31 come back negative. */
export interface Kernels {
  /** Where static data ends. */
  staticEnd(): number;
  /** Bytes of a packed matrix; 0 for a format that is not packed. `format` is the number of a form (forms.ts). */
  packedBytes(format: number, rows: number, width: number): number;
  /** Scratch that a product with rows of k values needs. */
  scratchBytes(format: number, k: number): number;
  /** Waits for a job other than `seen`, and returns its number. */
  awaitJob(seen: number): number;
  /** Turns the waiting loop, for measuring how long a turn takes. */
  spin(turns: number): number;
  /** Does a thread's share of the job; 1 for the thread that finished it. */
  work(thread: number): number;
}

/** The builds of the kernels: instructions, and memory. */
export type KernelSet = "relaxed" | "simd";
export type KernelFile =
  | "clavis-relaxed-shared.wasm"
  | "clavis-relaxed-single.wasm"
  | "clavis-simd-shared.wasm"
  | "clavis-simd-single.wasm";

/** An instance of the kernels in a memory. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  const abort = () => {
    throw new Error("abort in the WebAssembly kernels");
  };
  return new WebAssembly.Instance(module, { env: { memory, abort } }).exports as unknown as Kernels;
}

// Modules of one function without parameters that gives a v128: i8x16.splat(0), twice, and then the relaxed dot.
const head = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0];
const simdModule = new Uint8Array([...head, 0x0a, 8, 1, 6, 0, 0x41, 0, 0xfd, 0x0f, 0x0b]);
const relaxedModule = new Uint8Array([
  ...[...head, 0x0a, 15, 1, 13, 0],
  ...[0x41, 0, 0xfd, 0x0f, 0x41, 0, 0xfd, 0x0f, 0xfd, 0x92, 2, 0x0b],
]);

/** Whether this runtime knows 128-bit SIMD, and its relaxed instructions. */
export const hasSimd = (): boolean => typeof WebAssembly === "object" && WebAssembly.validate(simdModule);
export const hasRelaxedSimd = (): boolean => WebAssembly.validate(relaxedModule);
