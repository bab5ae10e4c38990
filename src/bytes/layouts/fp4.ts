import { bits, block, type Decoder, u8 } from "./block.ts";
import { fp4Values } from "./codebooks.ts";

// 4-bit floating-point codes (E2M1) with 8-bit floating-point scales.
// Source of the layouts: ggml, ggml-common.h (block_mxfp4, block_nvfp4), facts of the format; of the
// formats: OCP Microscaling Formats (MX) v1.0, and NVIDIA's NVFP4, whose scales are unsigned E4M3.
// The table of values is doubled to be whole, so scales are halved.

export const MXFP4 = block(32, u8("exponent"), bits(4, "q"));
export const NVFP4 = block(64, u8("scales", 4), bits(4, "q"));

/** Half of the E8M0 scale: 2^(exponent − 128). */
export const mxfp4Scale = (exponent: number) => 2 ** (exponent - 128);

/** value = scale · table[q]; half-bytes as in Q4_0. */
export const decodeMXFP4: Decoder = (bytes, at, out, to) => {
  const scale = mxfp4Scale(bytes[at + MXFP4.at.exponent]);
  const q = at + MXFP4.at.q;
  for (let j = 0; j < 16; j++) {
    out[to + j] = scale * fp4Values[bytes[q + j] & 15];
    out[to + j + 16] = scale * fp4Values[bytes[q + j] >> 4];
  }
};

/** Half of an unsigned E4M3 number (bias 7); 0 and NaN (127) count as 0. */
function nvfp4Scale(byte: number): number {
  const seven = byte & 127;
  if (seven === 127) return 0;
  const exponent = seven >> 3;
  const fraction = seven & 7;
  return exponent === 0 ? fraction * 2 ** -10 : (8 + fraction) * 2 ** (exponent - 11);
}

/** Four groups of 16, each with its scale and 8 bytes: byte j holds value j (low half) and value j + 8. */
export const decodeNVFP4: Decoder = (bytes, at, out, to) => {
  for (let group = 0; group < 4; group++) {
    const scale = nvfp4Scale(bytes[at + NVFP4.at.scales + group]);
    const q = at + NVFP4.at.q + 8 * group;
    for (let j = 0; j < 8; j++) {
      out[to + 16 * group + j] = scale * fp4Values[bytes[q + j] & 15];
      out[to + 16 * group + j + 8] = scale * fp4Values[bytes[q + j] >> 4];
    }
  }
};
