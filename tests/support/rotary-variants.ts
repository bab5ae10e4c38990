import type { GgufInput } from "../../src/bytes/gguf-writer.ts";
import type { MetadataEntry } from "../../src/bytes/metadata.ts";
import { storiesPath } from "./golden.ts";
import { withMetadata } from "./hostile.ts";
import { type Architecture, syntheticModel } from "./synthetic.ts";

/** A synthetic model with rotary positions other than the plain ones. */
interface Variant {
  readonly arch: Architecture;
  readonly shape: string;
  readonly metadata: readonly MetadataEntry[];
  /** Divisors of the frequencies, as the tensor rope_freqs. */
  readonly factors?: readonly number[];
}

const yarn = (arch: Architecture): MetadataEntry[] => [
  [`${arch}.rope.scaling.type`, "string", "yarn"],
  [`${arch}.rope.scaling.factor`, "f32", 4],
  [`${arch}.rope.scaling.original_context_length`, "u32", 1024],
];

const linear = (arch: Architecture, factor: number): MetadataEntry[] => [
  [`${arch}.rope.scaling.type`, "string", "linear"],
  [`${arch}.rope.scaling.factor`, "f32", factor],
];

/** By the names that tests/golden/rotary-variants.json uses. */
export const rotaryVariants: Readonly<Record<string, Variant>> = {
  "llama yarn": { arch: "llama", shape: "tiny", metadata: yarn("llama") },
  "llama linear": { arch: "llama", shape: "tiny", metadata: linear("llama", 4) },
  "llama factors": {
    arch: "llama",
    shape: "tiny",
    metadata: [],
    factors: Array.from({ length: 32 }, (_, i) => (i < 16 ? 1 : 1 + (i - 15) * 0.5)),
  },
  "qwen3 yarn": { arch: "qwen3", shape: "tiny", metadata: yarn("qwen3") },
  // Eight layers: seven with windows and plain angles, the sixth global with scaled ones.
  "gemma3 linear": { arch: "gemma3", shape: "8,64,128,2,1,32", metadata: linear("gemma3", 8) },
};

/** What writeGguf writes for a variant: f32 weights, seed 1, the vocabulary of clavis-stories. */
export async function rotaryVariant({ arch, shape, metadata, factors }: Variant): Promise<GgufInput> {
  let model: GgufInput = await syntheticModel({ vocab: storiesPath, arch, shape, type: "f32", seed: 1 });
  for (const [key, type, value] of metadata) model = withMetadata(model, key, type, value);
  if (!factors) return model;
  const data = [new Uint8Array(Float32Array.from(factors).buffer)];
  const tensor = { name: "rope_freqs.weight", type: "F32", shape: [factors.length], data } as const;
  return { ...model, tensors: [...model.tensors, tensor] };
}
