import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { replace } from "../../scripts/files.mjs";
import { isIntegerType } from "../../src/bytes/integer-blocks.ts";
import { type TensorType, tensorTypes } from "../../src/bytes/types.ts";
import { root } from "../support/shared.ts";

/** A way to build and run the harness: this machine's compiler, one with sanitizers, or one for another machine. */
export interface Toolchain {
  readonly name: string;
  readonly compiler: string;
  readonly flags: readonly string[];
  /** What runs a program of that machine, before its path. */
  readonly runner: readonly string[];
  /** Names of CLAVIS_CPU, best last. */
  readonly levels: readonly string[];
  /** Names of CLAVIS_CPU under which there are kernels for many rows in fast mode. */
  readonly fastLevels?: readonly string[];
  /** The same in reproducible mode. */
  readonly exactLevels?: readonly string[];
}

const sources = [
  "kernels/native/cpu.cc",
  "kernels/native/pack.cc",
  "kernels/native/grids.cc",
  "kernels/native/matmul.cc",
  "kernels/native/matmul-portable.cc",
  "kernels/native/matmul-ssse3.cc",
  "kernels/native/matmul-avx2.cc",
  "kernels/native/matmul-avxvnni.cc",
  "kernels/native/matmul-avxvnni-evex.cc",
  "kernels/native/matmul-avx512vnni.cc",
  "kernels/native/matmul-many.cc",
  "kernels/native/matmul-amx-bf16.cc",
  "kernels/native/matmul-amx-int8.cc",
  "kernels/native/matmul-fused-avx2.cc",
  "kernels/native/matmul-fused-avx512.cc",
  "kernels/native/matmul-pairs-avx512.cc",
  "kernels/native/matmul-panel-avx2.cc",
  "kernels/native/matmul-panel-avxvnni.cc",
  "kernels/native/matmul-panel-avxvnni-evex.cc",
  "kernels/native/matmul-panel-avx512.cc",
  "kernels/native/matmul-neon.cc",
  "kernels/native/matmul-dotprod.cc",
  "kernels/native/matmul-i8mm.cc",
  "tests/kernels/native-matmul-harness.cc",
];

/** What the assembler may take of each level's file: an instruction that its processors lack ends the build. */
const avx2 = "avx2+fma+f16c";
const instructions: Readonly<Record<string, string>> = {
  "matmul-portable": "",
  "matmul-ssse3": "+ssse3",
  "matmul-avx2": `+${avx2}`,
  "matmul-avxvnni": `+${avx2}+avx_vnni`,
  "matmul-avxvnni-evex": `+${avx2}+avx512vl+avx512_vnni`,
  "matmul-amx-bf16": `+${avx2}+avx512f+avx512bw+avx512vl+avx512dq+avx512_vnni+avx512_bf16+amx_tile+amx_bf16`,
  "matmul-amx-int8": `+${avx2}+avx512f+avx512bw+avx512vl+avx512dq+avx512_vnni+amx_tile+amx_int8`,
  "matmul-fused-avx2": `+${avx2}`,
  "matmul-fused-avx512": `+${avx2}+avx512f+avx512bw+avx512vl+avx512dq+avx512_vnni`,
  "matmul-pairs-avx512": `+${avx2}+avx512f+avx512bw+avx512vl+avx512dq+avx512_vnni+avx512_bf16`,
  "matmul-panel-avx2": `+${avx2}`,
  "matmul-panel-avxvnni": `+${avx2}+avx_vnni`,
  "matmul-panel-avxvnni-evex": `+${avx2}+avx512vl+avx512_vnni`,
  "matmul-panel-avx512": `+${avx2}+avx512f+avx512bw+avx512vl+avx512dq+avx512_vnni`,
  "matmul-avx512vnni": `+${avx2}+avx512f+avx512bw+avx512vl+avx512dq+avx512_vnni`,
};

/** The flag for it, with the marks of -fcf-protection, which some compilers set unasked. On Arm, qemu is the judge. */
function assemblerFlags(source: string, toolchain: Toolchain): string[] {
  const allowed = instructions[basename(source, ".cc")];
  const known = allowed !== undefined && toolchain.compiler === "g++" && process.platform === "linux";
  return known && process.arch === "x64" ? [`-Wa,-march=generic64+ibt${allowed}`] : [];
}

// At -O2 the compiler takes minutes over the checks in each level's kernels, at -O1 a quarter of one.
const sanitizers = [
  "-O1",
  "-fsanitize=address,undefined",
  "-fno-sanitize-recover=all",
  "-fno-omit-frame-pointer",
  "-g1",
];

const x86FastLevels = ["avx2", "avxvnni", "avx512vnni", "amx-model", "amx"];
const x86ExactLevels = ["avx2", "avxvnni", "avx512vnni", "amx-model", "amx"];
const x86Levels = ["portable", "ssse3", "avx2", "avxvnni", "avx512vnni"];

export const toolchains = {
  native: {
    name: "native",
    compiler: "g++",
    flags: [],
    runner: [],
    levels: x86Levels,
    fastLevels: x86FastLevels,
    exactLevels: x86ExactLevels,
  },
  clang: {
    name: "clang",
    compiler: "clang++",
    // Sources silence warnings that only gcc has.
    flags: ["-Wno-unknown-warning-option"],
    runner: [],
    levels: x86Levels,
    fastLevels: x86FastLevels,
    exactLevels: x86ExactLevels,
  },
  aarch64: {
    name: "aarch64",
    compiler: "aarch64-linux-gnu-g++",
    flags: ["-static"],
    runner: ["qemu-aarch64-static", "-cpu", "max"],
    levels: ["portable", "neon", "dotprod", "i8mm"],
  },
  /** A processor with the dot product and without i8mm. */
  "neoverse-n1": {
    name: "aarch64",
    compiler: "aarch64-linux-gnu-g++",
    flags: ["-static"],
    runner: ["qemu-aarch64-static", "-cpu", "neoverse-n1"],
    levels: ["portable", "neon", "dotprod"],
  },
  /** A processor of 2012, without the dot product: nothing may take it for a newer one. */
  "cortex-a53": {
    name: "aarch64",
    compiler: "aarch64-linux-gnu-g++",
    flags: ["-static"],
    runner: ["qemu-aarch64-static", "-cpu", "cortex-a53"],
    levels: ["portable", "neon"],
  },
  /**
   * A processor with AMX. bochs-run is not part of this repository: a program that takes a static program's path and
   * runs it under Bochs 3.0 (-cpu sapphire_rapids, with tiles in XCR0), passing input and output on.
   */
  bochs: {
    name: "bochs",
    compiler: "g++",
    flags: ["-static", "-include", "tests/kernels/bochs-3.0.h"],
    runner: ["bochs-run"],
    levels: ["avx512vnni"],
    fastLevels: ["amx-model", "amx-unasked"],
    exactLevels: ["amx-model", "amx-unasked"],
  },
  sanitized: {
    name: "sanitized",
    compiler: "g++",
    flags: sanitizers,
    runner: [],
    levels: x86Levels,
    fastLevels: x86FastLevels,
    exactLevels: x86ExactLevels,
  },
} as const satisfies Record<string, Toolchain>;

/** Whether the compiler and the runner are there. */
export function isInstalled(toolchain: Toolchain): boolean {
  const has = (command: string) => spawnSync(command, ["--version"]).status === 0;
  return has(toolchain.compiler) && toolchain.runner.slice(0, 1).every(has);
}

/** When a source, or a header beside it, was last changed. */
function changedMs(source: string): number {
  const headers = [
    "formats.h",
    "formats-unpack.h",
    "matmul-avx2-vec.h",
    "matmul-body.h",
    "matmul-neon-vec.h",
    "matmul.h",
    "matrix.h",
    "cpu.h",
    "pack.h",
    "grids.h",
    "matmul-avx512-vec.h",
    "matmul-many.h",
    "matmul-amx.h",
    "matmul-fused.h",
    "matmul-panel.h",
    "evex-dpbusd.h",
    "matmul-fused-terms.h",
    "tiles.h",
  ];
  return Math.max(
    ...[source, ...headers.map((name) => `kernels/native/${name}`)].map(
      (path) => statSync(join(root, path)).mtimeMs,
    ),
  );
}

/**
 * Builds the harness where it is older than its sources. Test files that do so at once do not meet in the middle.
 *
 * @returns the path of the program
 */
export function buildHarness(toolchain: Toolchain): string {
  const folder = join(root, ".cache/native-matmul", toolchain.name);
  mkdirSync(folder, { recursive: true });
  const run = (args: readonly string[]) => {
    const { status, stderr } = spawnSync(toolchain.compiler, args, { cwd: root, encoding: "utf8" });
    if (status !== 0) throw new Error(`${toolchain.compiler} ${args.join(" ")}\n${stderr}`);
  };
  const objects = sources.map((source) => {
    const object = join(folder, `${source.replaceAll("/", "_")}.o`);
    if (!existsSync(object) || statSync(object).mtimeMs < changedMs(source)) {
      const warnings = ["-Wall", "-Wextra", "-Werror"];
      const flags = [
        ...warnings,
        "-ffp-contract=off",
        ...toolchain.flags,
        ...assemblerFlags(source, toolchain),
      ];
      replace(object, (path) => run(["-std=c++20", "-O2", ...flags, "-c", source, "-o", path]));
    }
    return object;
  });
  const program = join(folder, "harness");
  const newest = Math.max(...objects.map((object) => statSync(object).mtimeMs));
  if (!existsSync(program) || statSync(program).mtimeMs < newest) {
    replace(program, (path) => run([...toolchain.flags, ...objects, "-o", path]));
  }
  return program;
}

/** A product to compute; the harness packs the weights and quantises the activations. */
export interface Product {
  readonly type: TensorType;
  /** [n] rows of k weights, as in the file. */
  readonly weights: Uint8Array;
  /** [rows · k] */
  readonly x: Float32Array;
  readonly rows: number;
  readonly n: number;
  readonly k: number;
  /** [n] */
  readonly bias?: Float32Array;
  /** [rows · n] */
  readonly residual?: Float32Array;
  /** The residual lies where the output goes. */
  readonly inPlace?: boolean;
  readonly first?: number;
  readonly last?: number;
}

const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Requests to the harness, answered together. */
export class Harness {
  readonly #program: string;
  readonly #runner: readonly string[];
  #requests: Uint8Array[] = [];
  #answers: number[] = [];

  constructor(toolchain: Toolchain) {
    this.#program = buildHarness(toolchain);
    this.#runner = toolchain.runner;
  }

  #add(words: readonly number[], level: string, data: readonly Uint8Array[], answerBytes: number): void {
    const name = new TextEncoder().encode(level);
    this.#requests.push(bytesOfWords([...words, name.length, 0]), name, ...data);
    this.#answers.push(answerBytes);
  }

  kernelName(level: string): void {
    this.#add([0, 0, 0, 0, 0, 0, 0, 0], level, [], 64);
  }

  /** The name of the level's kernels for many rows, if it has such. */
  manyRowName(level: string, type: TensorType, mode: "fast" | "exact"): void {
    this.#add([5, tensorTypes[type].id, 0, 0, 0, 0, 0, mode === "exact" ? 8 : 0], level, [], 64);
  }

  /** The product by the level's kernels, or by those that it has for many rows in fast or in reproducible mode. */
  matmul(level: string, p: Product, how: "usual" | "fast" | "exact" = "usual"): void {
    const flags = (p.bias ? 1 : 0) | (p.residual ? 2 : 0) | (p.inPlace ? 4 : 0) | (how === "exact" ? 8 : 0);
    const words = [
      how === "usual" ? 1 : 4,
      tensorTypes[p.type].id,
      p.rows,
      p.n,
      p.k,
      p.first ?? 0,
      p.last ?? p.n,
      flags,
    ];
    const added = [p.bias, p.residual].filter((values) => values !== undefined).map(bytesOf);
    this.#add(words, level, [p.weights, bytesOf(p.x), ...added], p.rows * p.n * 4);
  }

  gather(level: string, type: TensorType, weights: Uint8Array, n: number, k: number): void {
    this.#add([2, tensorTypes[type].id, 0, n, k, 0, 0, 0], level, [weights], n * k * 4);
  }

  quantize(level: string, x: Float32Array, rows: number, k: number): void {
    this.#add([3, 0, rows, 0, k, 0, 0, 0], level, [bytesOf(x)], rows * (k + (k / 32) * 12));
  }

  /** Answers in the order of the requests, as bytes. */
  run(): Uint8Array[] {
    const answers = this.#answers;
    const input = Buffer.concat(this.#requests);
    this.#requests = [];
    this.#answers = [];
    const [command, ...args] = [...this.#runner, this.#program];
    const { error, status, signal, stdout, stderr } = spawnSync(command, args, { input, maxBuffer: 2 ** 30 });
    if (error) throw error;
    if (status !== 0) throw new Error(`the harness ended with ${status ?? signal}: ${stderr}`);
    const total = answers.reduce((sum, bytes) => sum + bytes, 0);
    if (stdout.length !== total) throw new Error(`the harness wrote ${stdout.length} bytes, not ${total}`);
    let at = 0;
    return answers.map((bytes) => {
      const answer = new Uint8Array(bytes);
      answer.set(stdout.subarray(at, at + bytes));
      at += bytes;
      return answer;
    });
  }
}

const bytesOfWords = (words: readonly number[]) => new Uint8Array(Int32Array.from(words).buffer);

/** The answer to `kernelName` or `manyRowName`. */
export const nameOf = (answer: Uint8Array): string => new TextDecoder().decode(answer).replaceAll("\0", "");

/** Levels of a toolchain that this machine can run: those whose kernels are chosen when they are asked for. */
export function runnableLevels(toolchain: Toolchain): string[] {
  const harness = new Harness(toolchain);
  for (const level of toolchain.levels) harness.kernelName(level);
  const names = harness.run().map(nameOf);
  return toolchain.levels.filter((level, i) => names[i] === level);
}

/** The types that have kernels of their own. */
export const packedTypes = (Object.keys(tensorTypes) as TensorType[]).filter(
  (type) => isIntegerType(type) || type === "F32" || type === "F16" || type === "BF16",
);

/** The levels at which each type has kernels for many rows on this machine. */
export function manyRowLevels(toolchain: Toolchain, mode: "fast" | "exact"): Map<TensorType, string[]> {
  const harness = new Harness(toolchain);
  const levels = (mode === "fast" ? toolchain.fastLevels : toolchain.exactLevels) ?? [];
  for (const type of packedTypes) for (const level of levels) harness.manyRowName(level, type, mode);
  const names = harness.run().map(nameOf);
  return new Map(
    packedTypes.map((type, i) => [type, levels.filter((_, j) => names[i * levels.length + j] !== "")]),
  );
}
