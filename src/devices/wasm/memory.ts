import { type Plan, pagePositions, type Weight } from "../../plan/plan.ts";
import { common, formOf, type OpName, ops, tapeWords, wordOf } from "../../plan/tape.ts";
import { q8HeadWidth } from "../errors.ts";
import { controlEnd, weightWords } from "./control.ts";
import { tooLarge } from "./errors.ts";
import { formRowBytes, formOf as kernelFormOf } from "./forms.ts";
import type { Kernels } from "./kernels.ts";

/** Where everything lies in the memory of a program: byte addresses and sizes. */
export interface Layout {
  readonly tape: number;
  readonly weightTable: number;
  readonly tokens: number;
  readonly positions: number;
  readonly slots: number;
  readonly wanted: number;
  readonly pageTables: number;
  readonly scratch: number;
  readonly scratchBytes: number;
  /** Activations; while loading, two areas for weights as they are in the file. */
  readonly arena: number;
  readonly stagingBytes: number;
  readonly weights: readonly WeightPlace[];
  readonly cache: number;
  readonly cacheRowBytes: number;
  readonly cachePageBytes: number;
  /** The whole, a multiple of 64 KiB. */
  readonly bytes: number;
}

export interface WeightPlace {
  readonly address: number;
  /** The kernels' number of its form (forms.ts); F32 for vectors, meaningless for frequencies. */
  readonly format: number;
  /** Of one expert's matrix. */
  readonly expertBytes: number;
}

/** What the file's bytes are read into before they are packed: two of these. */
const usualStagingBytes = 4 * 2 ** 20;
/** Scratch that attention may take for more than one row at a time. */
const attentionScratchBytes = 2 ** 20;
/** As in kernels/wasm/attention.ts and experts.ts. */
const attentionRows = 16;
const expertRows = 16;
const pageBytes = 65536;

/**
 * Lays out the memory of a program.
 *
 * @throws ClavisError `device.memory_limit` above 4 GiB, `device.cache_q8`
 */
export function layOut(plan: Plan, threads: number, kernels: Kernels): Layout {
  let end = controlEnd;
  const take = (bytes: number) => {
    const address = end;
    end += Math.ceil(bytes / 64) * 64;
    return address;
  };
  const { limits, cache } = plan;
  const tape = take(plan.tape.byteLength);
  const weightTable = take(plan.weights.length * weightWords * 4);
  const [tokens, positions, slots] = [
    take(limits.tokens * 4),
    take(limits.tokens * 4),
    take(limits.tokens * 4),
  ];
  const wanted = take(limits.wanted * 4);
  const pageTables = take(limits.sequences * limits.pagesPerSequence * 4);

  const scratchBytes = scratchOf(plan, kernels);
  const scratch = take(scratchBytes * threads);
  const stagingBytes = Math.max(usualStagingBytes, ...plan.weights.map(fewestStagingBytes));
  const arena = take(Math.max(plan.arenaBytes, 2 * stagingBytes));
  const otherBytes = end;

  const weights = plan.weights.map((weight): WeightPlace => {
    if (weight.kind === "vector") return { address: take(weight.length * 4), format: 0, expertBytes: 0 };
    if (weight.kind === "frequencies")
      return { address: take(weight.values.byteLength), format: 0, expertBytes: 0 };
    const { format } = kernelFormOf(weight.type);
    const expertBytes = kernels.packedBytes(format, weight.rows, weight.width) >>> 0;
    return { address: take(expertBytes * weight.experts), format, expertBytes };
  });
  const weightBytes = end - otherBytes;

  if (cache.type === "q8" && cache.headWidth % 32 !== 0) throw q8HeadWidth(cache.headWidth);
  const cacheRowBytes =
    cache.type === "f16" ? cache.headWidth * 2 : cache.headWidth + (cache.headWidth / 32) * 4;
  const cachePageBytes = 2 * cache.kvHeads * pagePositions * cacheRowBytes;
  const cacheAddress = take(cachePageBytes * cache.pages * cache.layers);
  const cacheBytes = end - cacheAddress;
  // Kernels may read a vector's length past the end of what they were given.
  take(64);
  const bytes = Math.ceil(end / pageBytes) * pageBytes;
  if (bytes > 65535 * pageBytes) {
    const parts = Object.entries({ weights: weightBytes, cache: cacheBytes, activations: otherBytes });
    throw tooLarge(bytes, parts.map(([name, size]) => `${name} ${Math.ceil(size / 2 ** 20)} MiB`).join(", "));
  }
  return {
    ...{ tape, weightTable, tokens, positions, slots, wanted, pageTables, scratch, scratchBytes, arena },
    ...{ stagingBytes, weights, cache: cacheAddress, cacheRowBytes, cachePageBytes, bytes },
  };
}

/** Four rows of a matrix must fit, because rows are packed in fours. */
function fewestStagingBytes(weight: Weight): number {
  if (weight.kind !== "matrix") return 0;
  return formRowBytes(weight.type, weight.width) * 4;
}

/** Bytes of scratch for one thread: what the most demanding call of the tape needs. */
function scratchOf({ tape, weights, limits }: Plan, kernels: Kernels): number {
  let most = 64;
  const names = new Map<number, OpName>(Object.entries(ops).map(([name, op]) => [op.id, name as OpName]));
  for (let at = 0; at < tape.length; at += tapeWords) {
    const call = tape.subarray(at, at + tapeWords);
    most = Math.max(most, scratchOfCall(names.get(call[common.op])!, call));
  }
  return Math.ceil(most / 64) * 64;

  function scratchOfCall(name: OpName, call: Int32Array): number {
    const product = (weight: number, k: number) => {
      const matrix = weights[weight];
      return matrix.kind === "matrix" ? kernels.scratchBytes(kernelFormOf(matrix.type).format, k) : 0;
    };
    switch (name) {
      case "embed":
      case "addPosition":
        return call[wordOf(name, "n")] * 4;
      case "layerNorm":
        return call[wordOf(name, "form")] === formOf.q8 ? call[wordOf(name, "n")] * 4 : 0;
      case "rmsNorm":
        return call[wordOf(name, "form")] === formOf.q8
          ? call[wordOf(name, "n")] * call[wordOf(name, "groups")] * 4
          : 0;
      case "gated":
      case "activate":
        return call[wordOf(name, "form")] === formOf.q8 ? call[wordOf(name, "n")] * 4 : 0;
      case "route":
        return call[wordOf(name, "n")] * 4;
      case "matmul":
        return product(call[wordOf(name, "weight")], call[wordOf(name, "k")]);
      case "expertMatmul": {
        const rows = expertRows * (call[common.aStride] + call[wordOf(name, "n")] * 4 + 16 + 4) + 64;
        return rows + product(call[wordOf(name, "weight")], call[wordOf(name, "k")]);
      }
      case "attention": {
        // A panel of one page, then per row and query head a query, an output and all scores.
        const row = Math.ceil(call[wordOf(name, "n")] / 16) * 64;
        const group = call[wordOf(name, "heads")] / call[wordOf(name, "kvHeads")];
        const perRow = group * (2 * row + limits.pagesPerSequence * pagePositions * 4);
        const panel = pagePositions * row;
        const wished = panel + perRow * Math.min(attentionRows, limits.tokens);
        return Math.max(panel + perRow, Math.min(wished, attentionScratchBytes));
      }
      default:
        return 0;
    }
  }
}
