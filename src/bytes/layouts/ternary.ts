import { f16At } from "../float.ts";
import { bits, block, type Decoder, f16, u8 } from "./block.ts";

// Blocks of 256 values −1, 0, 1 with one scale.
// Source of the layouts: ggml, ggml-common.h (block_tq1_0, block_tq2_0), facts of the format.

export const TQ1_0 = block(256, u8("five", 48), u8("four", 4), f16("d"));
export const TQ2_0 = block(256, bits(2, "q"), f16("d"));

/**
 * Digit n (0 the most significant of five) of a base-3 number that is stored as the fraction number / 243 of
 * a byte, rounded up: multiply by 3^n, keep the fraction (mod 256), and the next digit is the whole part of
 * three times it.
 */
const digit = (byte: number, n: number) => (((byte * 3 ** n) & 255) * 3) >> 8;

/** Bytes hold five digits each; the values of one digit of 32 (then 16, then 4) bytes stand together. */
export const decodeTQ1_0: Decoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + TQ1_0.at.d);
  const write = (from: number, count: number, digits: number) => {
    for (let n = 0; n < digits; n++) {
      for (let j = 0; j < count; j++) out[to++] = d * (digit(bytes[from + j], n) - 1);
    }
  };
  write(at + TQ1_0.at.five, 32, 5);
  write(at + TQ1_0.at.five + 32, 16, 5);
  write(at + TQ1_0.at.four, 4, 4);
};

/** value = d · (q − 1). Byte 32h + l holds values 128h + 32j + l for j = 0…3, two bits each, from the lowest. */
export const decodeTQ2_0: Decoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + TQ2_0.at.d);
  for (let i = 0; i < 256; i++) {
    const byte = bytes[at + TQ2_0.at.q + 32 * (i >> 7) + (i & 31)];
    out[to + i] = d * (((byte >> (2 * ((i >> 5) & 3))) & 3) - 1);
  }
};
