import { blockBytes, notIntegerType } from "./errors.ts";
import { f16At, f32ToF16 } from "./float.ts";
import { Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 } from "./layouts/blocks32.ts";
import { fp4Values, iq4Values } from "./layouts/codebooks.ts";
import { MXFP4, mxfp4Scale } from "./layouts/fp4.ts";
import { type GridType, gridTypes, IQ4_NL, IQ4_XS, iq4xsScale } from "./layouts/iq.ts";
import { Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, q3kScale, q4kMin, q4kScale } from "./layouts/k-quants.ts";
import { TQ2_0 } from "./layouts/ternary.ts";
import { rowBytes, type TensorType, tensorTypes } from "./types.ts";

// The integer view of quantised weights, which the numerics contract of the devices is written in: products
// with int8 activations are then exact sums of integers, and only scales are floating point.

/**
 * Weights in a row as integers: value i = d · scale · code − dmin · min, where code stands per value, scale
 * and min per 16 values, d and dmin per 32.
 */
export interface IntegerRow {
  /** [values] −128…127 */
  readonly codes: Int8Array;
  /** [values / 16] −128…127; 1 where the type has none */
  readonly scales: Int16Array;
  /** [values / 16] 0…63; 0 where the type has none */
  readonly mins: Int16Array;
  /** [values / 32] */
  readonly d: Float32Array;
  /** [values / 32] 0 where the type has none */
  readonly dmin: Float32Array;
}

/** Room for `values` weights, a multiple of 32. */
export function newIntegerRow(values: number): IntegerRow {
  return {
    codes: new Int8Array(values),
    scales: new Int16Array(values / 16),
    mins: new Int16Array(values / 16),
    d: new Float32Array(values / 32),
    dmin: new Float32Array(values / 32),
  };
}

/**
 * Fills scale, min, d and dmin of `count` values from `to` on: the same numbers for all of them, as most
 * types have them per 32 values.
 */
function fillScales(
  out: IntegerRow,
  to: number,
  count: number,
  scale: number,
  d: number,
  min = 0,
  dmin = 0,
): void {
  // Plain stores: for one or two numbers fill would take longer than the codes.
  for (let group = to >> 4; group < (to + count) >> 4; group++) {
    out.scales[group] = scale;
    out.mins[group] = min;
  }
  for (let group = to >> 5; group < (to + count) >> 5; group++) {
    out.d[group] = d;
    out.dmin[group] = dmin;
  }
}

/** Writes one block of a row. */
type IntegerDecoder = (bytes: Uint8Array, at: number, out: IntegerRow, to: number) => void;

/** Codes of 32 values in half-bytes: byte j holds value j (low half) and value j + 16. */
function halfBytes(bytes: Uint8Array, q: number, codes: Int8Array, to: number, less: number): void {
  for (let j = 0; j < 16; j++) {
    codes[to + j] = (bytes[q + j] & 15) - less;
    codes[to + j + 16] = (bytes[q + j] >> 4) - less;
  }
}

/** The same through a table. */
function tabled(bytes: Uint8Array, q: number, codes: Int8Array, to: number, table: Int8Array): void {
  for (let j = 0; j < 16; j++) {
    codes[to + j] = table[bytes[q + j] & 15];
    codes[to + j + 16] = table[bytes[q + j] >> 4];
  }
}

/** Adds 16 to the codes whose bit in the 32-bit number at `high` is set. */
function addFifths(bytes: Uint8Array, high: number, codes: Int8Array, to: number): void {
  for (let j = 0; j < 32; j++) codes[to + j] += ((bytes[high + (j >> 3)] >> (j & 7)) & 1) << 4;
}

/**
 * A type with a table of codes. A scale for 32 values goes into their d, which stays exact (an f16 times five bits)
 * and saves a multiplication; scales for 16 stay whole numbers.
 */
const gridDecoder =
  ({ layout, factor, scaleValues, scale, codes }: GridType): IntegerDecoder =>
  (bytes, at, out, to) => {
    const d = f16At(bytes, at + layout.at.d) * factor;
    codes(bytes, at, out.codes, to);
    if (scaleValues === 16) fillScales(out, to, layout.values, 1, d);
    for (let index = 0; index < layout.values / scaleValues; index++) {
      if (scaleValues === 16) out.scales[to / 16 + index] = scale(bytes, at, index);
      else fillScales(out, to + 32 * index, 32, 1, d * scale(bytes, at, index));
    }
  };

const decoders: Partial<Record<TensorType, IntegerDecoder>> = {
  Q8_0(bytes, at, out, to) {
    const q = at + Q8_0.at.q;
    for (let j = 0; j < 32; j++) out.codes[to + j] = bytes[q + j];
    fillScales(out, to, 32, 1, f16At(bytes, at + Q8_0.at.scale));
  },

  Q4_0(bytes, at, out, to) {
    halfBytes(bytes, at + Q4_0.at.q, out.codes, to, 8);
    fillScales(out, to, 32, 1, f16At(bytes, at + Q4_0.at.scale));
  },

  // value = d · q + m, so dmin is −m with a min of 1.
  Q4_1(bytes, at, out, to) {
    halfBytes(bytes, at + Q4_1.at.q, out.codes, to, 0);
    fillScales(out, to, 32, 1, f16At(bytes, at + Q4_1.at.scale), 1, -f16At(bytes, at + Q4_1.at.min));
  },

  Q5_0(bytes, at, out, to) {
    halfBytes(bytes, at + Q5_0.at.q, out.codes, to, 16);
    addFifths(bytes, at + Q5_0.at.high, out.codes, to);
    fillScales(out, to, 32, 1, f16At(bytes, at + Q5_0.at.scale));
  },

  Q5_1(bytes, at, out, to) {
    halfBytes(bytes, at + Q5_1.at.q, out.codes, to, 0);
    addFifths(bytes, at + Q5_1.at.high, out.codes, to);
    fillScales(out, to, 32, 1, f16At(bytes, at + Q5_1.at.scale), 1, -f16At(bytes, at + Q5_1.at.min));
  },

  Q2_K(bytes, at, out, to) {
    fillScales(out, to, 256, 1, f16At(bytes, at + Q2_K.at.d), 0, f16At(bytes, at + Q2_K.at.dmin));
    for (let group = 0; group < 16; group++) {
      const packed = bytes[at + Q2_K.at.scales + group];
      out.scales[to / 16 + group] = packed & 15;
      out.mins[to / 16 + group] = packed >> 4;
      const q = at + Q2_K.at.q + 32 * (group >> 3) + 16 * (group & 1);
      for (let l = 0; l < 16; l++) out.codes[to + 16 * group + l] = (bytes[q + l] >> (group & 6)) & 3;
    }
  },

  Q3_K(bytes, at, out, to) {
    fillScales(out, to, 256, 1, f16At(bytes, at + Q3_K.at.d));
    for (let group = 0; group < 16; group++) {
      out.scales[to / 16 + group] = q3kScale(bytes, at + Q3_K.at.scales, group);
      const q = at + Q3_K.at.q + 32 * (group >> 3) + 16 * (group & 1);
      const high = at + Q3_K.at.high + 16 * (group & 1);
      for (let l = 0; l < 16; l++) {
        const above = (bytes[high + l] >> (group >> 1)) & 1;
        out.codes[to + 16 * group + l] = ((bytes[q + l] >> (group & 6)) & 3) + 4 * above - 4;
      }
    }
  },

  Q4_K(bytes, at, out, to) {
    const d = f16At(bytes, at + Q4_K.at.d);
    const dmin = f16At(bytes, at + Q4_K.at.dmin);
    const scales = at + Q4_K.at.scales;
    for (let group = 0; group < 8; group++) {
      const start = to + 32 * group;
      fillScales(out, start, 32, q4kScale(bytes, scales, group), d, q4kMin(bytes, scales, group), dmin);
      const q = at + Q4_K.at.q + 32 * (group >> 1);
      const shift = 4 * (group & 1);
      for (let l = 0; l < 32; l++) out.codes[start + l] = (bytes[q + l] >> shift) & 15;
    }
  },

  Q5_K(bytes, at, out, to) {
    const d = f16At(bytes, at + Q5_K.at.d);
    const dmin = f16At(bytes, at + Q5_K.at.dmin);
    const scales = at + Q5_K.at.scales;
    const high = at + Q5_K.at.high;
    for (let group = 0; group < 8; group++) {
      const start = to + 32 * group;
      fillScales(out, start, 32, q4kScale(bytes, scales, group), d, q4kMin(bytes, scales, group), dmin);
      const q = at + Q5_K.at.q + 32 * (group >> 1);
      const shift = 4 * (group & 1);
      for (let l = 0; l < 32; l++) {
        out.codes[start + l] = ((bytes[q + l] >> shift) & 15) | (((bytes[high + l] >> group) & 1) << 4);
      }
    }
  },

  Q6_K(bytes, at, out, to) {
    fillScales(out, to, 256, 1, f16At(bytes, at + Q6_K.at.d));
    for (let group = 0; group < 16; group++) {
      out.scales[to / 16 + group] = (bytes[at + Q6_K.at.scales + group] << 24) >> 24;
      const half = group >> 3;
      const j = (group & 7) >> 1;
      const low = at + Q6_K.at.low + 64 * half + 32 * (j & 1) + 16 * (group & 1);
      const high = at + Q6_K.at.high + 32 * half + 16 * (group & 1);
      for (let l = 0; l < 16; l++) {
        const code = ((bytes[low + l] >> (j < 2 ? 0 : 4)) & 15) | (((bytes[high + l] >> (2 * j)) & 3) << 4);
        out.codes[to + 16 * group + l] = code - 32;
      }
    }
  },

  IQ4_NL(bytes, at, out, to) {
    tabled(bytes, at + IQ4_NL.at.q, out.codes, to, iq4Values);
    fillScales(out, to, 32, 1, f16At(bytes, at + IQ4_NL.at.d));
  },

  IQ4_XS(bytes, at, out, to) {
    const d = f16At(bytes, at + IQ4_XS.at.d);
    for (let group = 0; group < 8; group++) {
      tabled(bytes, at + IQ4_XS.at.q + 16 * group, out.codes, to + 32 * group, iq4Values);
      fillScales(out, to + 32 * group, 32, iq4xsScale(bytes, at, group), d);
    }
  },

  TQ2_0(bytes, at, out, to) {
    for (let i = 0; i < 256; i++) {
      const byte = bytes[at + TQ2_0.at.q + 32 * (i >> 7) + (i & 31)];
      out.codes[to + i] = ((byte >> (2 * ((i >> 5) & 3))) & 3) - 1;
    }
    fillScales(out, to, 256, 1, f16At(bytes, at + TQ2_0.at.d));
  },

  IQ2_XXS: gridDecoder(gridTypes.IQ2_XXS),
  IQ2_XS: gridDecoder(gridTypes.IQ2_XS),
  IQ2_S: gridDecoder(gridTypes.IQ2_S),
  IQ3_XXS: gridDecoder(gridTypes.IQ3_XXS),
  IQ3_S: gridDecoder(gridTypes.IQ3_S),

  MXFP4(bytes, at, out, to) {
    tabled(bytes, at + MXFP4.at.q, out.codes, to, fp4Values);
    fillScales(out, to, 32, 1, mxfp4Scale(bytes[at + MXFP4.at.exponent]));
  },
};

/** Whether a type has the integer view. The other types are expanded: dequantised, then quantizeQ8_0. */
export const isIntegerType = (type: TensorType): boolean => decoders[type] !== undefined;

/**
 * The integer view of whole blocks.
 *
 * @param bytes   holds the blocks from byte `offset` on
 * @param values  how many weights, a multiple of the type's block
 * @param out     room for at least that many; filled from its start
 * @throws ClavisError `block.not_integer`, `block.partial`, `block.bytes` where bytes ends before the blocks do
 */
export function decodeIntegers(
  type: TensorType,
  bytes: Uint8Array,
  offset: number,
  values: number,
  out: IntegerRow,
): void {
  const decode = decoders[type];
  if (decode === undefined) throw notIntegerType(type);
  const end = offset + rowBytes(type, values);
  if (end > bytes.length) throw blockBytes(type, bytes.length - offset, end - offset);
  const { block, bytes: step } = tensorTypes[type];
  for (let at = offset, to = 0; to < values; at += step, to += block) decode(bytes, at, out, to);
}

/**
 * Q8_0 blocks of f32 values: scale = largest magnitude ÷ 127, code = value ÷ scale rounded, halves away from
 * zero. The codes come from the scale before it is rounded to f16, as in ggml's reference quantiser
 * (quantize_row_q8_0_ref), so that the bytes are the same.
 *
 * @param values  a multiple of 32
 * @throws ClavisError `block.partial`
 */
export function quantizeQ8_0(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(rowBytes("Q8_0", values.length));
  for (let from = 0, at = 0; from < values.length; from += Q8_0.values, at += Q8_0.bytes) {
    let largest = 0;
    for (let j = 0; j < 32; j++) largest = Math.max(largest, Math.abs(values[from + j]));
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    const half = f32ToF16(scale);
    bytes[at + Q8_0.at.scale] = half;
    bytes[at + Q8_0.at.scale + 1] = half >> 8;
    for (let j = 0; j < 32; j++) {
      const code = Math.fround(values[from + j] * inverse);
      bytes[at + Q8_0.at.q + j] = code < 0 ? -Math.floor(0.5 - code) : Math.floor(code + 0.5);
    }
  }
  return bytes;
}
