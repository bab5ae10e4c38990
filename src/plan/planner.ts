import { isIntegerType } from "../bytes/integer-blocks.ts";
import type { TensorType } from "../bytes/types.ts";
import type { Graph } from "../graph/graph.ts";
import { quantizeActivations } from "./activations.ts";
import { emit } from "./emit.ts";
import { joinLinears } from "./join.ts";
import { layOut } from "./memory.ts";
import { type CacheShape, type KvType, type Plan, pagePositions, type StepLimits } from "./plan.ts";
import { fuseResiduals } from "./residual.ts";
import { lower, type Steps } from "./steps.ts";
import { narrowToWanted } from "./wanted.ts";

export interface PlanOptions {
  readonly mode: "fast" | "reproducible";
  readonly limits: StepLimits;
  readonly kvType: KvType;
  /** Pages of the cache, shared by all sequences. */
  readonly pages: number;
  /** What the device computes a matrix of a type as: decides the form of its activations. */
  readonly packedType: (type: TensorType) => TensorType;
  /** Bytes of a row of a matrix as the device keeps it. */
  readonly packedRowBytes: (type: TensorType, width: number) => number;
}

/** Turns the graph of a step into a tape. */
export function makePlan(graph: Graph, options: PlanOptions): Plan {
  const program = planSteps(graph, options);
  const layout = layOut(program, options.limits);
  const cache: CacheShape = {
    layers: graph.layers,
    kvHeads: graph.kvHeads,
    headWidth: graph.headWidth,
    type: options.kvType,
    pages: options.pages,
  };
  return {
    ...emit(program, layout, options.packedRowBytes),
    cache,
    limits: options.limits,
    mode: options.mode,
    vocabulary: graph.vocabulary,
  };
}

/**
 * The steps of a graph after every pass, in this order: one step per node; only wanted rows behind
 * the last attention; q/k/v and gate/up as one matrix; activations quantised once, inside the
 * operation that makes them where it can; residual sums inside matmuls.
 */
export function planSteps(graph: Graph, { packedType }: Pick<PlanOptions, "packedType">): Steps {
  const quantized = (type: TensorType) => isIntegerType(packedType(type));
  return fuseResiduals(quantizeActivations(joinLinears(narrowToWanted(lower(graph))), quantized));
}

/** Bytes of keys and values that one page of `pagePositions` positions takes over all layers. */
export function pageBytes(cache: Omit<CacheShape, "pages">): number {
  const values = cache.layers * 2 * cache.kvHeads * cache.headWidth * pagePositions;
  return cache.type === "f16" ? values * 2 : values + (values / 32) * 4;
}
