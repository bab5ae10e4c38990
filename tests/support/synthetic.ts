import { openGguf } from "../../src/bytes/gguf.ts";
import { type GgufInput, memorySink, writeGguf } from "../../src/bytes/gguf-writer.ts";
import type { Metadata, MetadataEntry } from "../../src/bytes/metadata.ts";
import { openFile } from "../../src/bytes/node-file.ts";
import { writeFileWhole } from "../../src/bytes/node-file-sink.ts";
import { type TensorType, tensorTypes } from "../../src/bytes/types.ts";

// Models with random weights at a chosen architecture, shape and tensor type, so that a bare clone can build
// the models whose logits are known (tests/golden/synthetic-logits.json). The same options give the same
// bytes as the generator that those logits were computed with: the order of draws from the random numbers
// and every rounding are part of that, and a test compares the two.

export interface SyntheticOptions {
  /** A GGUF file whose tokenizer the model gets. */
  readonly vocab: string;
  readonly arch: Architecture;
  /** A name from `shapes`, or six numbers: layers, width, feed-forward width, heads, KV heads, head width. */
  readonly shape?: string;
  /** Of the matrices, in lower case as llama.cpp spells it; vectors are always f32. */
  readonly type?: string;
  readonly seed?: number;
}

export const architectures = [
  "llama",
  "qwen2",
  "qwen3",
  "qwen3moe",
  "gemma2",
  "gemma3",
  "phi3",
  "gpt2",
] as const;
export type Architecture = (typeof architectures)[number];

/** Layers, width, feed-forward width, heads, KV heads, head width. */
export const shapes: Readonly<Record<string, readonly number[]>> = {
  tiny: [2, 256, 768, 4, 2, 64],
  "smol-135m": [30, 576, 1536, 9, 3, 64],
  "qwen-0.5b": [24, 896, 4864, 14, 2, 64],
  "llama-1b": [16, 2048, 8192, 32, 8, 64],
  "llama-3b": [28, 3072, 8192, 24, 8, 128],
};

/**
 * Where a block's f16 fields lie, and their values for weights of unit standard deviation. The codes are
 * uniform, so a scale is 1 over the standard deviation of the codes (times the integer scales', in K types).
 */
const scaleFields: Readonly<Record<string, readonly (readonly [at: number, unit: number])[]>> = {
  q4_0: [[0, 1 / 4.6]],
  q4_1: [
    [0, 1 / 4.6],
    [2, -7.5 / 4.6],
  ],
  q5_0: [[0, 1 / 9.2]],
  q5_1: [
    [0, 1 / 9.2],
    [2, -15.5 / 9.2],
  ],
  q8_0: [[0, 1 / 74]],
  q2_k: [
    [80, 1 / 13.9],
    [82, 1.5 / 13.9],
  ],
  q3_k: [[108, 1 / 42]],
  q4_k: [
    [0, 1 / 258],
    [2, 7.5 / 258],
  ],
  q5_k: [
    [0, 1 / 527],
    [2, 15.5 / 527],
  ],
  q6_k: [[208, 1 / 1369]],
  iq2_xxs: [[0, 1 / 53.4]],
  iq2_xs: [[0, 1 / 55.9]],
  iq2_s: [[0, 1 / 56.4]],
  iq3_xxs: [[0, 1 / 142]],
  iq3_s: [[0, 1 / 140]],
  iq4_nl: [[0, 1 / 70]],
  iq4_xs: [[0, 1 / 1295]],
  tq1_0: [[52, 1 / 0.82]],
  tq2_0: [[64, 1 / 0.82]],
  mxfp4: [],
};

export const syntheticTypes: readonly string[] = ["f32", "f16", "bf16", ...Object.keys(scaleFields)];

/** Embedding and output matrices take a better type than the others, as quantisers choose it. */
const embeddingTypes: Readonly<Record<string, string>> = {
  q4_0: "q8_0",
  q2_k: "q6_k",
  q3_k: "q6_k",
  q4_k: "q6_k",
  tq1_0: "q8_0",
  tq2_0: "q8_0",
  mxfp4: "q8_0",
  iq2_xxs: "q6_k",
  iq2_xs: "q6_k",
  iq2_s: "q6_k",
  iq3_xxs: "q6_k",
  // iq3_s itself: so a model looks up rows of a type with a table, too.
  iq4_nl: "q8_0",
  iq4_xs: "q6_k",
};

/** The whole file. */
export async function synthesize(options: SyntheticOptions): Promise<Uint8Array> {
  const sink = memorySink();
  await writeGguf(sink, await syntheticModel(options));
  return sink.bytes();
}

/** The whole file, on disk; large models are never in memory. */
export async function synthesizeTo(path: string, options: SyntheticOptions): Promise<void> {
  const model = await syntheticModel(options);
  await writeFileWhole(path, (sink) => writeGguf(sink, model));
}

/**
 * What writeGguf writes, for tests that change it first. The tensors share one run of random numbers, so
 * each one's data can be read once only, and in order.
 */
export async function syntheticModel(
  options: SyntheticOptions,
): Promise<GgufInput & { metadata: MetadataEntry[] }> {
  const { arch, shape = "tiny", type = "q4_0", seed = 1 } = options;
  if (!syntheticTypes.includes(type)) throw new Error(`unknown type ${type}`);
  const vocabulary = await readMetadata(options.vocab);
  const tokens = vocabulary.strings("tokenizer.ggml.tokens").length;
  const sizes = shapes[shape] ?? shape.split(",").map(Number);
  const tokenizer = [...vocabulary.entries()].filter(([key]) => key.startsWith("tokenizer."));
  // Small llamas have an output matrix of their own; the large ones share the embedding's, as the real ones do.
  const tied = (arch === "llama" && shape !== "tiny") || arch.startsWith("gemma");
  const random = randomBits(seed);
  return {
    metadata: [...hyperparameters(arch, sizes, tokens), ...tokenizer],
    tensors: tensorList(arch, sizes, tokens, type, tied).map((tensor) => ({
      name: tensor.name,
      type: tensor.type.toUpperCase() as TensorType,
      shape: tensor.shape,
      data: () => weights(tensor, tied, random),
    })),
  };
}

async function readMetadata(path: string): Promise<Metadata> {
  const source = await openFile(path);
  try {
    return (await openGguf(source)).metadata;
  } finally {
    await source.close();
  }
}

function hyperparameters(arch: Architecture, sizes: readonly number[], tokens: number): MetadataEntry[] {
  const [layers, width, feedForward, heads, kvHeads, headWidth] = sizes;
  const entries: MetadataEntry[] = [
    ["general.architecture", "string", arch],
    ["general.name", "string", `synth ${arch}`],
    ["general.alignment", "u32", 32],
  ];
  const u32 = (key: string, value: number) => entries.push([`${arch}.${key}`, "u32", value]);
  const f32 = (key: string, value: number) => entries.push([`${arch}.${key}`, "f32", value]);
  u32("block_count", layers);
  u32("context_length", 4096);
  u32("embedding_length", width);
  u32("feed_forward_length", feedForward);
  u32("attention.head_count", heads);
  if (arch === "gpt2") {
    f32("attention.layer_norm_epsilon", 1e-5);
  } else {
    u32("attention.head_count_kv", kvHeads);
    u32("attention.key_length", headWidth);
    u32("attention.value_length", headWidth);
    u32("rope.dimension_count", headWidth);
    f32("attention.layer_norm_rms_epsilon", /^(gemma|qwen)/.test(arch) ? 1e-6 : 1e-5);
    const bases: Partial<Record<Architecture, number>> = {
      llama: 500_000,
      qwen2: 1e6,
      qwen3: 1e6,
      qwen3moe: 1e6,
      gemma3: 1e6,
    };
    f32("rope.freq_base", bases[arch] ?? 10_000);
  }
  if (arch === "llama") u32("vocab_size", tokens);
  if (arch === "gemma2") {
    u32("attention.sliding_window", 64);
    f32("attn_logit_softcapping", 50);
    f32("final_logit_softcapping", 30);
  }
  if (arch === "gemma3") u32("attention.sliding_window", 64);
  if (arch === "phi3") {
    u32("attention.sliding_window", 0);
    u32("rope.scaling.original_context_length", 4096);
  }
  if (arch === "qwen3moe") {
    u32("expert_count", 8);
    u32("expert_used_count", 2);
    u32("expert_feed_forward_length", 256);
  }
  return entries;
}

interface SyntheticTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Lower case. */
  readonly type: string;
  /** Times the usual standard deviation. */
  readonly gain: number;
}

/** The tensors in the order of the file, which is the order of the random draws. */
function tensorList(
  arch: Architecture,
  sizes: readonly number[],
  tokens: number,
  type: string,
  tied: boolean,
): SyntheticTensor[] {
  const [layers, D, F, heads, kvHeads, headWidth] = sizes;
  const queries = heads * headWidth;
  const keys = kvHeads * headWidth;
  const embedding = embeddingTypes[type] ?? type;
  const list: SyntheticTensor[] = [];
  const add = (name: string, shape: number[], tensorType: string, gain = 1) =>
    list.push({ name, shape, type: shape.length === 1 ? "f32" : tensorType, gain });

  add("token_embd.weight", [D, tokens], embedding, tied ? 4 : 1);
  if (arch === "gpt2") add("position_embd.weight", [D, 4096], "f32");
  for (let layer = 0; layer < layers; layer++) {
    const weight = (name: string, ...shape: number[]) => add(`blk.${layer}.${name}.weight`, shape, type);
    const bias = (name: string, length: number) => add(`blk.${layer}.${name}.bias`, [length], "f32", 0.2);
    weight("attn_norm", D);
    if (arch === "gpt2") {
      bias("attn_norm", D);
      bias("ffn_norm", D);
    }
    if (arch === "phi3") {
      weight("attn_qkv", D, queries + 2 * keys);
    } else if (arch === "gpt2") {
      weight("attn_qkv", D, 3 * D);
      bias("attn_qkv", 3 * D);
      bias("attn_output", D);
    } else {
      weight("attn_q", D, queries);
      weight("attn_k", D, keys);
      weight("attn_v", D, keys);
    }
    if (arch === "qwen2") {
      bias("attn_q", queries);
      bias("attn_k", keys);
      bias("attn_v", keys);
    }
    if (arch === "qwen3" || arch === "qwen3moe" || arch === "gemma3") {
      weight("attn_q_norm", headWidth);
      weight("attn_k_norm", headWidth);
    }
    weight("attn_output", arch === "gpt2" ? D : queries, D);
    if (arch.startsWith("gemma")) {
      weight("post_attention_norm", D);
      weight("post_ffw_norm", D);
    }
    weight("ffn_norm", D);
    if (arch === "qwen3moe") {
      add(`blk.${layer}.ffn_gate_inp.weight`, [D, 8], "f32", 4);
      weight("ffn_gate_exps", D, 256, 8);
      weight("ffn_up_exps", D, 256, 8);
      weight("ffn_down_exps", 256, D, 8);
    } else if (arch === "phi3") {
      weight("ffn_up", D, 2 * F);
      weight("ffn_down", F, D);
    } else if (arch === "gpt2") {
      weight("ffn_up", D, F);
      bias("ffn_up", F);
      weight("ffn_down", F, D);
      bias("ffn_down", D);
    } else {
      weight("ffn_gate", D, F);
      weight("ffn_up", D, F);
      weight("ffn_down", F, D);
    }
  }
  add("output_norm.weight", [D], type);
  if (arch === "gpt2") add("output_norm.bias", [D], "f32", 0.2);
  if (!tied) add("output.weight", [D, tokens], embedding, 4);
  return list;
}

/** 32 random bits a call. Source: Marsaglia 2003, Xorshift RNGs, the 32-bit generator (13, 17, 5). */
function randomBits(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0 || 1; // spreads small seeds; zero would stay zero
  const next = () => {
    state = (state ^ (state << 13)) >>> 0;
    state = (state ^ (state >>> 17)) >>> 0;
    state = (state ^ (state << 5)) >>> 0;
    return state;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}

/** Blocks drawn at a time; it fixes the order in which random numbers go to codes and to scales. */
const blocksAtOnce = 2 ** 14;

const f32 = new Float32Array(1);
const bits = new Uint32Array(f32.buffer);

/** binary16 bits, rounded toward zero; not for infinities, which do not come up. */
function truncatedHalf(value: number): number {
  f32[0] = value;
  const sign = (bits[0] >>> 16) & 0x8000;
  const exponent = ((bits[0] >>> 23) & 255) - 112;
  const fraction = (bits[0] >>> 13) & 1023;
  if (exponent > 0) return sign | (exponent << 10) | fraction;
  return exponent < -10 ? sign : sign | ((1024 | fraction) >> (1 - exponent));
}

/** A tensor's bytes: random values whose products keep the size of what goes in. */
function* weights(tensor: SyntheticTensor, tied: boolean, random: () => number): Generator<Uint8Array> {
  const { name, type, shape, gain } = tensor;
  const { block, bytes } = tensorTypes[type.toUpperCase() as TensorType];
  const inputs = shape.length === 1 || (name.startsWith("token_embd") && !tied) ? 1 : shape[0];
  const deviation = gain / Math.sqrt(inputs);
  // √3 times a uniform number in ±1 has unit standard deviation.
  const uniform = () => (random() / 2 ** 31 - 1) * 1.732;
  // Random codes come in words of 4 bytes and may go on past the last block.
  const chunk = new Uint8Array(blocksAtOnce * bytes + 4);
  const view = new DataView(chunk.buffer);

  for (let left = shape.reduce((product, length) => product * length) / block; left > 0; ) {
    const blocks = Math.min(left, blocksAtOnce);
    left -= blocks;
    if (type === "f32") {
      const norm = name.endsWith("norm.weight");
      for (let i = 0; i < blocks; i++) {
        view.setFloat32(4 * i, norm ? 1 + 0.1 * uniform() : uniform() * deviation, true);
      }
    } else if (type === "f16") {
      for (let i = 0; i < blocks; i++) view.setUint16(2 * i, truncatedHalf(uniform() * deviation), true);
    } else if (type === "bf16") {
      for (let i = 0; i < blocks; i++) {
        f32[0] = uniform() * deviation;
        view.setUint16(2 * i, bits[0] >>> 16, true);
      }
    } else {
      for (let i = 0; i < blocks * bytes; i += 4) view.setUint32(i, random(), true);
      for (let i = 0; i < blocks; i++) finishBlock(chunk, view, i * bytes, type, deviation, random);
    }
    yield chunk.subarray(0, blocks * bytes);
  }
}

/** Makes a block of random bytes a valid one: codes that exist, scales of the right size. */
function finishBlock(
  chunk: Uint8Array,
  view: DataView,
  at: number,
  type: string,
  deviation: number,
  random: () => number,
): void {
  if (type === "tq2_0") {
    // Code 3 does not exist; where both bits are set the upper one is cleared.
    for (let k = at; k < at + 64; k++) chunk[k] ^= (chunk[k] & (chunk[k] >> 1) & 0x55) << 1;
  }
  if (type === "mxfp4") chunk[at] = Math.round(128 + Math.log2(deviation / 5.9));
  const jitter = 0.75 + random() / 2 ** 33;
  for (const [field, unit] of scaleFields[type]) {
    view.setUint16(at + field, truncatedHalf(unit * deviation * jitter), true);
  }
}
