import { bf16ToF32, f16At } from "../float.ts";
import { bf16, block, type Decoder, f16, f32, f64, i8, i16, i32, i64 } from "./block.ts";

// One number per block. Wider numbers round to the nearest f32.

export const F32 = block(1, f32("value"));
export const F16 = block(1, f16("value"));
export const BF16 = block(1, bf16("value"));
export const F64 = block(1, f64("value"));
export const I8 = block(1, i8("value"));
export const I16 = block(1, i16("value"));
export const I32 = block(1, i32("value"));
export const I64 = block(1, i64("value"));

const scratch = new DataView(new ArrayBuffer(8));

/** The `width` bytes at `at` as a view, so that alignment does not matter. */
function view(bytes: Uint8Array, at: number, width: number): DataView {
  for (let i = 0; i < width; i++) scratch.setUint8(i, bytes[at + i]);
  return scratch;
}

export const decodeF32: Decoder = (bytes, at, out, to) => {
  out[to] = view(bytes, at, 4).getFloat32(0, true);
};

export const decodeF16: Decoder = (bytes, at, out, to) => {
  out[to] = f16At(bytes, at);
};

export const decodeBF16: Decoder = (bytes, at, out, to) => {
  out[to] = bf16ToF32(bytes[at] | (bytes[at + 1] << 8));
};

export const decodeF64: Decoder = (bytes, at, out, to) => {
  out[to] = view(bytes, at, 8).getFloat64(0, true);
};

export const decodeI8: Decoder = (bytes, at, out, to) => {
  out[to] = (bytes[at] << 24) >> 24;
};

export const decodeI16: Decoder = (bytes, at, out, to) => {
  out[to] = view(bytes, at, 2).getInt16(0, true);
};

export const decodeI32: Decoder = (bytes, at, out, to) => {
  out[to] = view(bytes, at, 4).getInt32(0, true);
};

export const decodeI64: Decoder = (bytes, at, out, to) => {
  out[to] = Number(view(bytes, at, 8).getBigInt64(0, true));
};
