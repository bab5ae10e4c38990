/**
 * What kernels/native/addon.cc exports. Arguments are checked before they come here; a promise settles when the
 * threads are done, and nothing of a program may be called before its last promise has.
 */
export interface Addon {
  describe(level: string | undefined): KernelDescription;
  /** What the processor has beyond its family's baseline, e.g. "AVX512-VNNI". */
  features(): string[];
  /** The levels of instructions that it can be told to keep to, lowest first. */
  levels(): string[];
  /** Writes bytes read and operations done a second by so many threads; takes a few tenths of a second. */
  measure(level: string | undefined, threads: number, result: Float64Array): Promise<void>;
  /**
   * Instructions of the products for steps of many rows of a format; "" where the usual ones are taken.
   *
   * @param exact  1: those with the bits of docs/numerics.md only; 0: what fast mode takes
   */
  manyRowKernels(level: string | undefined, format: number, exact: number): string;
  /** Instructions of fast mode's attention for steps of many rows, by a head's width; "" where the usual one is taken. */
  fastAttention(level: string | undefined, headWidth: number): string;
  /** Bytes of a packed matrix; 0 for a format (GGUF type number) that no kernel multiplies with. */
  packedBytes(level: string | undefined, format: number, rows: number, width: number): number;
  /** Makes room; weights are zero until they are set. @throws Error "memory", "threads" */
  open(options: OpenOptions): NativeProgram;
  bytes(program: NativeProgram): number;
  threads(program: NativeProgram): number;
  /** Copies the values of a vector or of frequencies. */
  setWeight(program: NativeProgram, index: number, bytes: Uint8Array): void;
  /** Memory to read files into. */
  staging(bytes: number): ArrayBuffer;
  /** Gives it back; the buffer is empty from here on. */
  release(staging: ArrayBuffer): void;
  /** Packs GGUF rows of an expert's matrix, from `firstRow` on (a multiple of `group`). */
  pack(
    program: NativeProgram,
    index: number,
    expert: number,
    firstRow: number,
    rows: number,
    bytes: Uint8Array,
  ): Promise<void>;
  /**
   * Reads pieces of matrices from open files and packs them, in the order given, with threads of its own.
   *
   * @param pieces  per piece: weight, expert, first row (a multiple of `group`), rows, number of ranges; then per range,
   *   which together hold the rows as GGUF has them: descriptor, offset and length in bytes
   * @param state   by `loadState`: pieces done so far; set `stopped` to end it early; `failed` is 1 where a read failed
   */
  load(program: NativeProgram, pieces: Float64Array, threads: number, state: Int32Array): Promise<void>;
  /** Runs the tape. Page tables lie one after another, `pagesPerSequence` each; `logits` is written. */
  run(
    program: NativeProgram,
    tokens: Int32Array,
    positions: Int32Array,
    slots: Int32Array,
    pageTables: Int32Array,
    wanted: Int32Array,
    logits: Float32Array,
  ): Promise<void>;
  /** Gives the memory back. */
  close(program: NativeProgram): void;
}

/** A program's memory; opaque. */
export interface NativeProgram {
  readonly native: unique symbol;
}

export interface KernelDescription {
  /** Highest level of instructions, e.g. "avx512vnni". */
  readonly level: string;
  /** Level of the products' kernels, and of all others. */
  readonly matrix: string;
  readonly rows: string;
  /** Levels of fast mode's kernels for many rows, with commas; "" where there are none. */
  readonly fast: string;
  /** The same in reproducible mode. */
  readonly exact: string;
  /** Rows of a matrix that lie interleaved once packed. */
  readonly group: number;
}

export interface OpenOptions {
  /** Instructions to stay below, for tests: baseline, avx2, avxvnni, avx512, avx512vnni, amx-model, neon, dotprod, i8mm. */
  readonly level: string | undefined;
  readonly threads: number;
  readonly tape: Int32Array;
  /** Per weight: kind (`weightKinds`), format, rows, width, experts. */
  readonly weights: Float64Array;
  readonly arenaBytes: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly pages: number;
  /** Type of the cache: 0 f16, 1 q8. */
  readonly quantized: number;
  /** Tokens of the largest step, and pages of the longest sequence. */
  readonly tokens: number;
  readonly pagesPerSequence: number;
  readonly logits: number;
  readonly logitsStride: number;
  readonly vocabulary: number;
  /** Rows whose logits are wanted, in the largest step. */
  readonly wanted: number;
  /** Whether kernels may round otherwise than docs/numerics.md: 0 no, 1 yes. */
  readonly fast: number;
}

export const weightKinds = { matrix: 0, vector: 1, frequencies: 2 } as const;

export const loadState = { done: 0, stopped: 1, failed: 2, words: 3 } as const;
