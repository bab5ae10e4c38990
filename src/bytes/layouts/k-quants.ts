import { f16At } from "../float.ts";
import { bits, block, type Decoder, f16, i8 } from "./block.ts";

// Blocks of 256 values: one or two f16 scales for the block, integer scales for groups of 16 or 32 values.
// Source of the layouts: ggml, ggml-common.h (block_q2_K … block_q6_K), facts of the format.
// Every product is exact in f32 (11 bits of f16, at most 8 of scale and 5 of code), so only the subtraction
// of the minimum rounds.

export const Q2_K = block(256, bits(8, "scales", 16), bits(2, "q"), f16("d"), f16("dmin"));
export const Q3_K = block(256, bits(1, "high"), bits(2, "q"), bits(6, "scales", 16), f16("d"));
export const Q4_K = block(256, f16("d"), f16("dmin"), bits(12, "scales", 8), bits(4, "q"));
export const Q5_K = block(256, f16("d"), f16("dmin"), bits(12, "scales", 8), bits(1, "high"), bits(4, "q"));
export const Q6_K = block(256, bits(4, "low"), bits(2, "high"), i8("scales", 16), f16("d"));

/**
 * value = d · scale · q − dmin · min, with scale in the low and min in the high half of a byte per 16 values.
 * Byte 32h + l holds values 128h + 32j + l for j = 0…3, two bits each, from the lowest.
 */
export const decodeQ2_K: Decoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + Q2_K.at.d);
  const dmin = f16At(bytes, at + Q2_K.at.dmin);
  for (let group = 0; group < 16; group++) {
    const packed = bytes[at + Q2_K.at.scales + group];
    const scale = d * (packed & 15);
    const min = dmin * (packed >> 4);
    const q = at + Q2_K.at.q + 32 * (group >> 3) + 16 * (group & 1);
    const shift = group & 6; // 2j
    for (let l = 0; l < 16; l++) out[to + 16 * group + l] = scale * ((bytes[q + l] >> shift) & 3) - min;
  }
};

/** The 6-bit scale of a group of 16, less 32: low 4 bits in bytes 0–7, high 2 bits in bytes 8–11. */
export function q3kScale(bytes: Uint8Array, scales: number, group: number): number {
  const low = (bytes[scales + (group & 7)] >> (group < 8 ? 0 : 4)) & 15;
  const high = (bytes[scales + 8 + (group & 3)] >> (2 * (group >> 2))) & 3;
  return (low | (high << 4)) - 32;
}

/**
 * value = d · scale · q, −4 ≤ q ≤ 3. The two low bits lie as in Q2_K; bit 4h + j of byte l of `high` is set
 * where value 128h + 32j + l is not negative.
 */
export const decodeQ3_K: Decoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + Q3_K.at.d);
  for (let group = 0; group < 16; group++) {
    const scale = d * q3kScale(bytes, at + Q3_K.at.scales, group);
    const q = at + Q3_K.at.q + 32 * (group >> 3) + 16 * (group & 1);
    const high = at + Q3_K.at.high + 16 * (group & 1);
    const shift = group & 6; // 2j
    for (let l = 0; l < 16; l++) {
      const above = (bytes[high + l] >> (group >> 1)) & 1;
      out[to + 16 * group + l] = scale * (((bytes[q + l] >> shift) & 3) + 4 * above - 4);
    }
  }
};

/**
 * The 6-bit scale and min of a group of 32 (Q4_K, Q5_K). Groups 0–3: the low six bits of bytes 0–3 and 4–7.
 * Groups 4–7: the halves of bytes 8–11, their upper two bits in the top bits of bytes 0–3 and 4–7.
 */
export const q4kScale = (bytes: Uint8Array, scales: number, group: number) =>
  group < 4
    ? bytes[scales + group] & 63
    : (bytes[scales + group + 4] & 15) | ((bytes[scales + group - 4] >> 6) << 4);

export const q4kMin = (bytes: Uint8Array, scales: number, group: number) =>
  group < 4
    ? bytes[scales + group + 4] & 63
    : (bytes[scales + group + 4] >> 4) | ((bytes[scales + group] >> 6) << 4);

/** value = d · scale · q − dmin · min. Byte 32p + l: values 64p + l (low half) and 64p + 32 + l (high half). */
export const decodeQ4_K: Decoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + Q4_K.at.d);
  const dmin = f16At(bytes, at + Q4_K.at.dmin);
  const scales = at + Q4_K.at.scales;
  for (let group = 0; group < 8; group++) {
    const scale = d * q4kScale(bytes, scales, group);
    const min = dmin * q4kMin(bytes, scales, group);
    const q = at + Q4_K.at.q + 32 * (group >> 1);
    const shift = 4 * (group & 1);
    for (let l = 0; l < 32; l++) out[to + 32 * group + l] = scale * ((bytes[q + l] >> shift) & 15) - min;
  }
};

/** As Q4_K, with bit `group` of byte l of `high` as the fifth bit of value 32 · group + l. */
export const decodeQ5_K: Decoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + Q5_K.at.d);
  const dmin = f16At(bytes, at + Q5_K.at.dmin);
  const scales = at + Q5_K.at.scales;
  const high = at + Q5_K.at.high;
  for (let group = 0; group < 8; group++) {
    const scale = d * q4kScale(bytes, scales, group);
    const min = dmin * q4kMin(bytes, scales, group);
    const q = at + Q5_K.at.q + 32 * (group >> 1);
    const shift = 4 * (group & 1);
    for (let l = 0; l < 32; l++) {
      const code = ((bytes[q + l] >> shift) & 15) | (((bytes[high + l] >> group) & 1) << 4);
      out[to + 32 * group + l] = scale * code - min;
    }
  }
};

/**
 * value = d · scale · (q − 32). In each half h of 128 values, value 128h + 32j + l has its low four bits in
 * byte 64h + 32(j mod 2) + l of `low` (low half of the byte for j < 2) and its high two in byte 32h + l of
 * `high`, from bit 2j.
 */
export const decodeQ6_K: Decoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + Q6_K.at.d);
  for (let group = 0; group < 16; group++) {
    const half = group >> 3;
    const j = (group & 7) >> 1;
    const scale = d * ((bytes[at + Q6_K.at.scales + group] << 24) >> 24);
    const low = at + Q6_K.at.low + 64 * half + 32 * (j & 1) + 16 * (group & 1);
    const high = at + Q6_K.at.high + 32 * half + 16 * (group & 1);
    for (let l = 0; l < 16; l++) {
      const code = ((bytes[low + l] >> (j < 2 ? 0 : 4)) & 15) | (((bytes[high + l] >> (2 * j)) & 3) << 4);
      out[to + 16 * group + l] = scale * (code - 32);
    }
  }
};
