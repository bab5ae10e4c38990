import { partialBlocks } from "./errors.ts";
import type { Layout } from "./layouts/block.ts";
import { Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 } from "./layouts/blocks32.ts";
import { MXFP4, NVFP4 } from "./layouts/fp4.ts";
import { IQ1_M, IQ1_S, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS, IQ4_NL, IQ4_XS } from "./layouts/iq.ts";
import { Q2_K, Q3_K, Q4_K, Q5_K, Q6_K } from "./layouts/k-quants.ts";
import { BF16, F16, F32, F64, I8, I16, I32, I64 } from "./layouts/plain.ts";
import { TQ1_0, TQ2_0 } from "./layouts/ternary.ts";

/** What a file needs to know of a tensor type: its number in GGUF, the values and the bytes of one block. */
export interface TypeInfo {
  readonly id: number;
  readonly block: number;
  readonly bytes: number;
}

const type = (id: number, layout: Layout): TypeInfo => ({ id, block: layout.values, bytes: layout.bytes });

/** Every tensor type that can be read. Source of the numbers: GGUF specification; NVFP4: ggml.h. */
export const tensorTypes = {
  F32: type(0, F32),
  F16: type(1, F16),
  Q4_0: type(2, Q4_0),
  Q4_1: type(3, Q4_1),
  Q5_0: type(6, Q5_0),
  Q5_1: type(7, Q5_1),
  Q8_0: type(8, Q8_0),
  Q2_K: type(10, Q2_K),
  Q3_K: type(11, Q3_K),
  Q4_K: type(12, Q4_K),
  Q5_K: type(13, Q5_K),
  Q6_K: type(14, Q6_K),
  IQ2_XXS: type(16, IQ2_XXS),
  IQ2_XS: type(17, IQ2_XS),
  IQ3_XXS: type(18, IQ3_XXS),
  IQ1_S: type(19, IQ1_S),
  IQ4_NL: type(20, IQ4_NL),
  IQ3_S: type(21, IQ3_S),
  IQ2_S: type(22, IQ2_S),
  IQ4_XS: type(23, IQ4_XS),
  I8: type(24, I8),
  I16: type(25, I16),
  I32: type(26, I32),
  I64: type(27, I64),
  F64: type(28, F64),
  IQ1_M: type(29, IQ1_M),
  BF16: type(30, BF16),
  TQ1_0: type(34, TQ1_0),
  TQ2_0: type(35, TQ2_0),
  MXFP4: type(39, MXFP4),
  NVFP4: type(40, NVFP4),
} as const satisfies Record<string, TypeInfo>;

export type TensorType = keyof typeof tensorTypes;

const byId = new Map(Object.entries(tensorTypes).map(([name, info]) => [info.id, name as TensorType]));

/** The type with this GGUF number, or undefined. */
export const tensorTypeOf = (id: number): TensorType | undefined => byId.get(id);

/**
 * Bytes that `values` numbers of a type take, as one row or several.
 *
 * @throws ClavisError `block.partial` unless they fill whole blocks
 */
export function rowBytes(type: TensorType, values: number): number {
  const { block, bytes } = tensorTypes[type];
  if (values % block !== 0) throw partialBlocks(type, values, block);
  return (values / block) * bytes;
}
