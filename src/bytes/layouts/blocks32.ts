import { f16At } from "../float.ts";
import { bits, block, type Decoder, f16, i8 } from "./block.ts";

// Blocks of 32 values with one scale, and in the _1 types a smallest value.
// Source of the layouts: ggml, ggml-common.h (block_q4_0 and its neighbours), facts of the format.
// Half-bytes: byte j holds value j in its low half and value j + 16 in its high half.
// Products of an f16 and an 8-bit code are exact in f32, so only the addition in the _1 types rounds.

export const Q4_0 = block(32, f16("scale"), bits(4, "q"));
export const Q4_1 = block(32, f16("scale"), f16("min"), bits(4, "q"));
export const Q5_0 = block(32, f16("scale"), bits(1, "high"), bits(4, "q"));
export const Q5_1 = block(32, f16("scale"), f16("min"), bits(1, "high"), bits(4, "q"));
export const Q8_0 = block(32, f16("scale"), i8("q", 32));

/** value = scale · (q − 8) */
export const decodeQ4_0: Decoder = (bytes, at, out, to) => {
  const scale = f16At(bytes, at + Q4_0.at.scale);
  const q = at + Q4_0.at.q;
  for (let j = 0; j < 16; j++) {
    out[to + j] = scale * ((bytes[q + j] & 15) - 8);
    out[to + j + 16] = scale * ((bytes[q + j] >> 4) - 8);
  }
};

/** value = scale · q + min */
export const decodeQ4_1: Decoder = (bytes, at, out, to) => {
  const scale = f16At(bytes, at + Q4_1.at.scale);
  const min = f16At(bytes, at + Q4_1.at.min);
  const q = at + Q4_1.at.q;
  for (let j = 0; j < 16; j++) {
    out[to + j] = scale * (bytes[q + j] & 15) + min;
    out[to + j + 16] = scale * (bytes[q + j] >> 4) + min;
  }
};

/** The fifth bit of value j, at the place where it counts 16; `high` is a 32-bit number, value 0 lowest. */
const fifth = (bytes: Uint8Array, high: number, j: number) => ((bytes[high + (j >> 3)] >> (j & 7)) & 1) << 4;

/** value = scale · (q − 16) */
export const decodeQ5_0: Decoder = (bytes, at, out, to) => {
  const scale = f16At(bytes, at + Q5_0.at.scale);
  const high = at + Q5_0.at.high;
  const q = at + Q5_0.at.q;
  for (let j = 0; j < 16; j++) {
    out[to + j] = scale * (((bytes[q + j] & 15) | fifth(bytes, high, j)) - 16);
    out[to + j + 16] = scale * (((bytes[q + j] >> 4) | fifth(bytes, high, j + 16)) - 16);
  }
};

/** value = scale · q + min */
export const decodeQ5_1: Decoder = (bytes, at, out, to) => {
  const scale = f16At(bytes, at + Q5_1.at.scale);
  const min = f16At(bytes, at + Q5_1.at.min);
  const high = at + Q5_1.at.high;
  const q = at + Q5_1.at.q;
  for (let j = 0; j < 16; j++) {
    out[to + j] = scale * ((bytes[q + j] & 15) | fifth(bytes, high, j)) + min;
    out[to + j + 16] = scale * ((bytes[q + j] >> 4) | fifth(bytes, high, j + 16)) + min;
  }
};

/** value = scale · q */
export const decodeQ8_0: Decoder = (bytes, at, out, to) => {
  const scale = f16At(bytes, at + Q8_0.at.scale);
  const q = at + Q8_0.at.q;
  for (let j = 0; j < 32; j++) out[to + j] = scale * ((bytes[q + j] << 24) >> 24);
};
