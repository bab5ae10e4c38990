import { blockBytes } from "./errors.ts";
import type { Decoder } from "./layouts/block.ts";
import { decodeQ4_0, decodeQ4_1, decodeQ5_0, decodeQ5_1, decodeQ8_0 } from "./layouts/blocks32.ts";
import { decodeMXFP4, decodeNVFP4 } from "./layouts/fp4.ts";
import {
  decodeIQ1_M,
  decodeIQ1_S,
  decodeIQ2_S,
  decodeIQ2_XS,
  decodeIQ2_XXS,
  decodeIQ3_S,
  decodeIQ3_XXS,
  decodeIQ4_NL,
  decodeIQ4_XS,
} from "./layouts/iq.ts";
import { decodeQ2_K, decodeQ3_K, decodeQ4_K, decodeQ5_K, decodeQ6_K } from "./layouts/k-quants.ts";
import {
  decodeBF16,
  decodeF16,
  decodeF32,
  decodeF64,
  decodeI8,
  decodeI16,
  decodeI32,
  decodeI64,
  type RunDecoder,
} from "./layouts/plain.ts";
import { decodeTQ1_0, decodeTQ2_0 } from "./layouts/ternary.ts";
import { rowBytes, type TensorType, tensorTypes } from "./types.ts";

const runDecoders = {
  F32: decodeF32,
  F16: decodeF16,
  BF16: decodeBF16,
  F64: decodeF64,
  I8: decodeI8,
  I16: decodeI16,
  I32: decodeI32,
  I64: decodeI64,
} satisfies Partial<Record<TensorType, RunDecoder>>;

const blockDecoders: Record<Exclude<TensorType, keyof typeof runDecoders>, Decoder> = {
  Q4_0: decodeQ4_0,
  Q4_1: decodeQ4_1,
  Q5_0: decodeQ5_0,
  Q5_1: decodeQ5_1,
  Q8_0: decodeQ8_0,
  Q2_K: decodeQ2_K,
  Q3_K: decodeQ3_K,
  Q4_K: decodeQ4_K,
  Q5_K: decodeQ5_K,
  Q6_K: decodeQ6_K,
  IQ1_S: decodeIQ1_S,
  IQ1_M: decodeIQ1_M,
  IQ2_XXS: decodeIQ2_XXS,
  IQ2_XS: decodeIQ2_XS,
  IQ2_S: decodeIQ2_S,
  IQ3_XXS: decodeIQ3_XXS,
  IQ3_S: decodeIQ3_S,
  IQ4_NL: decodeIQ4_NL,
  IQ4_XS: decodeIQ4_XS,
  TQ1_0: decodeTQ1_0,
  TQ2_0: decodeTQ2_0,
  MXFP4: decodeMXFP4,
  NVFP4: decodeNVFP4,
};

/**
 * The values of whole blocks as f32, the same bits as ggml's reference.
 *
 * @param bytes  exactly the blocks of out.length values
 * @param out    receives the values; its length is a multiple of the type's block
 * @throws ClavisError `block.partial`, `block.bytes`
 */
export function dequantize(type: TensorType, bytes: Uint8Array, out: Float32Array): void {
  const expected = rowBytes(type, out.length);
  if (bytes.length !== expected) throw blockBytes(type, bytes.length, expected);
  if (isRunType(type)) {
    runDecoders[type](bytes, out);
    return;
  }
  const { block, bytes: step } = tensorTypes[type];
  const decode = blockDecoders[type];
  for (let at = 0, to = 0; to < out.length; at += step, to += block) decode(bytes, at, out, to);
}

const isRunType = (type: TensorType): type is keyof typeof runDecoders => type in runDecoders;
