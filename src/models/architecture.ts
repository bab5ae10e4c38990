import { dequantize } from "../bytes/dequantize.ts";
import type { Gguf } from "../bytes/gguf.ts";
import { read } from "../bytes/source.ts";
import { ClavisError, grouped, quoted } from "../errors.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { Tracer } from "../graph/tracer.ts";
import { type Parameters, readParameters } from "./parameters.ts";

/** What a model's function has beside the tracer. */
export interface ModelInput extends Parameters {
  /** Names of the tensors of each layer: `layer("attn_q")` is "blk.3.attn_q". */
  readonly layerNames: readonly ((name: string) => string)[];
  /** Values of a small tensor (rotary factors), or nothing where the file has none. */
  readonly small: (name: string) => Float32Array | undefined;
  /** Positions that will be used, which long-rope models choose their factors by. */
  readonly usedContext: number;
}

export interface Architecture {
  /** As stored in `general.architecture`. */
  readonly id: string;
  readonly build: (g: Tracer, model: ModelInput) => Value;
}

/** Declares an architecture: its id in GGUF, and the function that writes its graph down. */
export function architecture(id: string, build: Architecture["build"]): Architecture {
  return { id, build };
}

// Tensors that models read as numbers rather than multiply with.
const smallTensors = /^(rope_freqs|rope_factors_long|rope_factors_short)\.weight$/;
const smallLimit = 1 << 16;

/**
 * The graph of one step of the model in a file.
 *
 * @throws ClavisError `model.architecture` where it is not one of those given, `model.*` where
 *   tensors or parameters do not fit
 */
export async function buildGraph(
  gguf: Gguf,
  architectures: ReadonlyMap<string, Architecture>,
  usedContext?: number,
): Promise<Graph> {
  const parameters = modelParameters(gguf, architectures);
  const chosen = architectures.get(parameters.architecture)!;
  const small = new Map<string, Float32Array>();
  for (const tensor of gguf.tensors.values()) {
    if (!smallTensors.test(tensor.name)) continue;
    if (tensor.values > smallLimit) {
      throw new ClavisError("model.tensor_shape", {
        found: `"${tensor.name}" of ${grouped(tensor.values)} values`,
        expected: `at most ${grouped(smallLimit)}`,
        next: "The file is damaged; download it again.",
      });
    }
    const values = new Float32Array(tensor.values);
    dequantize(tensor.type, await read(tensor.source, tensor.offset, tensor.bytes), values);
    small.set(tensor.name, values);
  }
  const g = new Tracer(gguf.tensors);
  const layerNames = Array.from(
    { length: parameters.layers },
    (_, i) => (name: string) => `blk.${i}.${name}`,
  );
  const logits = chosen.build(g, {
    ...parameters,
    layerNames,
    small: (name) => small.get(`${name}.weight`),
    usedContext: usedContext ?? parameters.contextLength,
  });
  return g.finish(logits, smallTensors);
}

/** The hyperparameters of the model in a file, checked. */
export function modelParameters(gguf: Gguf, architectures: ReadonlyMap<string, Architecture>): Parameters {
  const id = gguf.metadata.string("general.architecture");
  if (!architectures.has(id)) {
    throw new ClavisError("model.architecture", {
      found: `a model of the architecture ${quoted(id)}`,
      expected: `one of ${[...architectures.keys()].join(", ")}`,
      next: "docs/adding-a-model.md shows how one is added.",
    });
  }
  // The embedding's row count is what the logits will have; the tokenizer may name fewer.
  const embedding = gguf.tensors.get("token_embd.weight");
  const vocabulary = embedding?.shape[1] ?? gguf.metadata.strings("tokenizer.ggml.tokens").length;
  return readParameters(gguf.metadata, id, vocabulary);
}
