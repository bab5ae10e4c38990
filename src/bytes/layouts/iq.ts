import { f16At, f16ToF32 } from "../float.ts";
import { bits, block, type Decoder, f16, type Layout, u8, u16 } from "./block.ts";
import {
  iq1Grid,
  iq2Magnitudes,
  iq2sGrid,
  iq2xsGrid,
  iq2xxsGrid,
  iq3sGrid,
  iq3sMagnitudes,
  iq3xxsGrid,
  iq3xxsMagnitudes,
  iq4Values,
  signs,
} from "./codebooks.ts";

// Types whose codes name entries of a table, mostly 8 or 4 values at once.
// Source of the layouts: ggml, ggml-common.h (block_iq1_s … block_iq4_xs), facts of the format.
// Every product is exact in f32. A "group" is 32 values; a "part" is 8 of them.

export const IQ2_XXS = block(256, f16("d"), u8("groups", 64));
export const IQ2_XS = block(256, f16("d"), u16("q", 32), bits(8, "scales", 8));
export const IQ2_S = block(256, f16("d"), u8("q", 32), u8("signs", 32), u8("high", 8), bits(8, "scales", 8));
export const IQ3_XXS = block(256, f16("d"), u8("q", 64), u8("groups", 32));
export const IQ3_S = block(256, f16("d"), u8("q", 64), u8("high", 8), u8("signs", 32), bits(4, "scales", 8));
export const IQ1_S = block(256, f16("d"), u8("q", 32), u16("high", 8));
export const IQ1_M = block(256, u8("q", 32), u8("high", 16), u16("scales", 4));
export const IQ4_NL = block(32, f16("d"), bits(4, "q"));
export const IQ4_XS = block(256, f16("d"), bits(2, "scalesHigh", 8), bits(4, "scalesLow", 8), bits(4, "q"));

const u16At = (bytes: Uint8Array, at: number) => bytes[at] | (bytes[at + 1] << 8);
const u32At = (bytes: Uint8Array, at: number) => (u16At(bytes, at) | (u16At(bytes, at + 2) << 16)) >>> 0;

/** A type whose codes are entries of a table, with signs: value = d · factor · scale · code. */
export interface GridType {
  readonly layout: Layout<"d">;
  /** The magnitudes that codes have, ascending. */
  readonly magnitudes: readonly number[];
  /** ⅛, ¼ or 1, so that scales are whole. */
  readonly factor: number;
  /** Values that share a scale. */
  readonly scaleValues: 16 | 32;
  /** The scale, 1, 3 … 31, of the `index`th so many values of the block at `at`. */
  scale(bytes: Uint8Array, at: number, index: number): number;
  /** Writes the 256 codes of the block at `at`, −62…62, none of them 0. */
  codes(bytes: Uint8Array, at: number, out: Int8Array, to: number): void;
}

/** Writes `width` values of the grid from `entry` on, negative where the bit of `negative` is set. */
function writeSigned(
  grid: Int8Array,
  entry: number,
  width: number,
  negative: number,
  out: Int8Array,
  to: number,
): void {
  for (let j = 0; j < width; j++) {
    const value = grid[entry * width + j];
    out[to + j] = (negative >> j) & 1 ? -value : value;
  }
}

/** The odd number that a 4-bit scale stands for; `index` counts half-bytes from `at` on. */
const oddScale = (bytes: Uint8Array, at: number, index: number) =>
  2 * ((bytes[at + (index >> 1)] >> (4 * (index & 1))) & 15) + 1;

/** Per group 8 bytes: four table entries, then four 7-bit sign numbers and, on top, a 4-bit scale. */
const gridIQ2_XXS: GridType = {
  layout: IQ2_XXS,
  magnitudes: iq2Magnitudes,
  factor: 1 / 8,
  scaleValues: 32,
  scale: (bytes, at, group) => 2 * (bytes[at + IQ2_XXS.at.groups + 8 * group + 7] >> 4) + 1,
  codes(bytes, at, out, to) {
    const grid = iq2xxsGrid();
    for (let group = 0; group < 8; group++) {
      const entries = at + IQ2_XXS.at.groups + 8 * group;
      const packed = u32At(bytes, entries + 4);
      for (let part = 0; part < 4; part++) {
        const negative = signs[(packed >>> (7 * part)) & 127];
        writeSigned(grid, bytes[entries + part], 8, negative, out, to + 32 * group + 8 * part);
      }
    }
  },
};

/** Per part 16 bits: a table entry (9) and a sign number (7); a 4-bit scale for two parts. */
const gridIQ2_XS: GridType = {
  layout: IQ2_XS,
  magnitudes: iq2Magnitudes,
  factor: 1 / 8,
  scaleValues: 16,
  scale: (bytes, at, index) => oddScale(bytes, at + IQ2_XS.at.scales, index),
  codes(bytes, at, out, to) {
    const grid = iq2xsGrid();
    for (let part = 0; part < 32; part++) {
      const packed = u16At(bytes, at + IQ2_XS.at.q + 2 * part);
      writeSigned(grid, packed & 511, 8, signs[packed >> 9], out, to + 8 * part);
    }
  },
};

/** Per part a table entry (8 bits, and two more in `high`) and eight sign bits; a 4-bit scale for two parts. */
const gridIQ2_S: GridType = {
  layout: IQ2_S,
  magnitudes: iq2Magnitudes,
  factor: 1 / 8,
  scaleValues: 16,
  scale: (bytes, at, index) => oddScale(bytes, at + IQ2_S.at.scales, index),
  codes(bytes, at, out, to) {
    const grid = iq2sGrid();
    for (let part = 0; part < 32; part++) {
      const high = (bytes[at + IQ2_S.at.high + (part >> 2)] >> (2 * (part & 3))) & 3;
      const entry = bytes[at + IQ2_S.at.q + part] | (high << 8);
      writeSigned(grid, entry, 8, bytes[at + IQ2_S.at.signs + part], out, to + 8 * part);
    }
  },
};

/** Per group eight table entries of 4 values; then 4 bytes: four 7-bit sign numbers and a 4-bit scale. */
const gridIQ3_XXS: GridType = {
  layout: IQ3_XXS,
  magnitudes: iq3xxsMagnitudes,
  factor: 1 / 4,
  scaleValues: 32,
  scale: (bytes, at, group) => 2 * (bytes[at + IQ3_XXS.at.groups + 4 * group + 3] >> 4) + 1,
  codes(bytes, at, out, to) {
    const grid = iq3xxsGrid();
    for (let group = 0; group < 8; group++) {
      const packed = u32At(bytes, at + IQ3_XXS.at.groups + 4 * group);
      for (let part = 0; part < 4; part++) {
        const negative = signs[(packed >>> (7 * part)) & 127];
        const q = at + IQ3_XXS.at.q + 8 * group + 2 * part;
        const start = to + 32 * group + 8 * part;
        writeSigned(grid, bytes[q], 4, negative, out, start);
        writeSigned(grid, bytes[q + 1], 4, negative >> 4, out, start + 4);
      }
    }
  },
};

/** Table entries of 4 values: 8 bits in `q`, the ninth in `high`; sign bits as they are; a 4-bit scale per group. */
const gridIQ3_S: GridType = {
  layout: IQ3_S,
  magnitudes: iq3sMagnitudes,
  factor: 1,
  scaleValues: 32,
  scale: (bytes, at, group) => oddScale(bytes, at + IQ3_S.at.scales, group),
  codes(bytes, at, out, to) {
    const grid = iq3sGrid();
    for (let four = 0; four < 64; four++) {
      const ninth = (bytes[at + IQ3_S.at.high + (four >> 3)] >> (four & 7)) & 1;
      const entry = bytes[at + IQ3_S.at.q + four] | (ninth << 8);
      const negative = bytes[at + IQ3_S.at.signs + (four >> 1)] >> (4 * (four & 1));
      writeSigned(grid, entry, 4, negative, out, to + 4 * four);
    }
  },
};

export const gridTypes = {
  IQ2_XXS: gridIQ2_XXS,
  IQ2_XS: gridIQ2_XS,
  IQ2_S: gridIQ2_S,
  IQ3_XXS: gridIQ3_XXS,
  IQ3_S: gridIQ3_S,
};

/** The values of such a type. */
const gridDecoder = ({ layout, factor, scaleValues, scale, codes }: GridType): Decoder => {
  const block = new Int8Array(layout.values);
  return (bytes, at, out, to) => {
    const d = f16At(bytes, at + layout.at.d) * factor;
    codes(bytes, at, block, 0);
    for (let start = 0; start < layout.values; start += scaleValues) {
      const ofCode = d * scale(bytes, at, start / scaleValues);
      for (let i = start; i < start + scaleValues; i++) out[to + i] = ofCode * block[i];
    }
  };
};

export const decodeIQ2_XXS = gridDecoder(gridIQ2_XXS);
export const decodeIQ2_XS = gridDecoder(gridIQ2_XS);
export const decodeIQ2_S = gridDecoder(gridIQ2_S);
export const decodeIQ3_XXS = gridDecoder(gridIQ3_XXS);
export const decodeIQ3_S = gridDecoder(gridIQ3_S);

/** Writes the 8 values of an entry of −1, 0, 1, moved by delta, times scale. */
function writeMoved(entry: number, scale: number, delta: number, out: Float32Array, to: number): void {
  const grid = iq1Grid();
  for (let j = 0; j < 8; j++) out[to + j] = scale * (grid[8 * entry + j] + delta);
}

const iq1Delta = 0.125;

/** Per group 16 bits in `high`: three more bits for each of four entries, a 3-bit scale, the sign of delta. */
export const decodeIQ1_S: Decoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + IQ1_S.at.d);
  for (let group = 0; group < 8; group++) {
    const high = u16At(bytes, at + IQ1_S.at.high + 2 * group);
    const scale = d * (2 * ((high >> 12) & 7) + 1);
    const delta = high & 0x8000 ? -iq1Delta : iq1Delta;
    for (let part = 0; part < 4; part++) {
      const entry = bytes[at + IQ1_S.at.q + 4 * group + part] | (((high >> (3 * part)) & 7) << 8);
      writeMoved(entry, scale, delta, out, to + 32 * group + 8 * part);
    }
  }
};

/**
 * Per part 4 bits in `high`: three more bits for the entry and the sign of delta. Each of the four 16-bit
 * `scales` holds four 3-bit scales for 16 values each and, on top, four bits of the block's f16 scale.
 */
export const decodeIQ1_M: Decoder = (bytes, at, out, to) => {
  const scales = at + IQ1_M.at.scales;
  let dBits = 0;
  for (let i = 0; i < 4; i++) dBits |= (u16At(bytes, scales + 2 * i) >> 12) << (4 * i);
  const d = f16ToF32(dBits);
  for (let part = 0; part < 32; part++) {
    const scaleBits = (u16At(bytes, scales + 2 * (part >> 3)) >> (3 * ((part >> 1) & 3))) & 7;
    const high = (bytes[at + IQ1_M.at.high + (part >> 1)] >> (4 * (part & 1))) & 15;
    const entry = bytes[at + IQ1_M.at.q + part] | ((high & 7) << 8);
    writeMoved(entry, d * (2 * scaleBits + 1), high & 8 ? -iq1Delta : iq1Delta, out, to + 8 * part);
  }
};

/** value = d · table[q]; half-bytes as in Q4_0. */
export const decodeIQ4_NL: Decoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + IQ4_NL.at.d);
  const q = at + IQ4_NL.at.q;
  for (let j = 0; j < 16; j++) {
    out[to + j] = d * iq4Values[bytes[q + j] & 15];
    out[to + j + 16] = d * iq4Values[bytes[q + j] >> 4];
  }
};

/** The 6-bit scale of a group, less 32. */
export function iq4xsScale(bytes: Uint8Array, at: number, group: number): number {
  const low = (bytes[at + IQ4_XS.at.scalesLow + (group >> 1)] >> (4 * (group & 1))) & 15;
  const high = (u16At(bytes, at + IQ4_XS.at.scalesHigh) >> (2 * group)) & 3;
  return (low | (high << 4)) - 32;
}

/** value = d · scale · table[q]; half-bytes as in Q4_0 within each group. */
export const decodeIQ4_XS: Decoder = (bytes, at, out, to) => {
  const d = f16At(bytes, at + IQ4_XS.at.d);
  for (let group = 0; group < 8; group++) {
    const scale = d * iq4xsScale(bytes, at, group);
    const q = at + IQ4_XS.at.q + 16 * group;
    for (let j = 0; j < 16; j++) {
      out[to + 32 * group + j] = scale * iq4Values[bytes[q + j] & 15];
      out[to + 32 * group + j + 16] = scale * iq4Values[bytes[q + j] >> 4];
    }
  }
};
