import { f16At } from "../float.ts";
import { bf16, block, f16, f32, f64, i8, i16, i32, i64 } from "./block.ts";

// One number per block. Wider numbers round to the nearest f32.

export const F32 = block(1, f32("value"));
export const F16 = block(1, f16("value"));
export const BF16 = block(1, bf16("value"));
export const F64 = block(1, f64("value"));
export const I8 = block(1, i8("value"));
export const I16 = block(1, i16("value"));
export const I32 = block(1, i32("value"));
export const I64 = block(1, i64("value"));

/**
 * Writes all values of `bytes` to `out`. One number is too small a step to make a call for each, so these
 * types decode a whole run.
 */
export type RunDecoder = (bytes: Uint8Array, out: Float32Array) => void;

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Machines that run WebAssembly are little-endian, as the file is, so an f32 is a copy of its bytes. */
export const decodeF32: RunDecoder = (bytes, out) => {
  new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes);
};

export const decodeF16: RunDecoder = (bytes, out) => {
  for (let i = 0; i < out.length; i++) out[i] = f16At(bytes, 2 * i);
};

/** The upper halves of f32s. */
export const decodeBF16: RunDecoder = (bytes, out) => {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < bits.length; i++) bits[i] = (bytes[2 * i] << 16) | (bytes[2 * i + 1] << 24);
};

export const decodeF64: RunDecoder = (bytes, out) => {
  const view = viewOf(bytes);
  for (let i = 0; i < out.length; i++) out[i] = view.getFloat64(8 * i, true);
};

export const decodeI8: RunDecoder = (bytes, out) => {
  for (let i = 0; i < out.length; i++) out[i] = (bytes[i] << 24) >> 24;
};

export const decodeI16: RunDecoder = (bytes, out) => {
  const view = viewOf(bytes);
  for (let i = 0; i < out.length; i++) out[i] = view.getInt16(2 * i, true);
};

export const decodeI32: RunDecoder = (bytes, out) => {
  const view = viewOf(bytes);
  for (let i = 0; i < out.length; i++) out[i] = view.getInt32(4 * i, true);
};

export const decodeI64: RunDecoder = (bytes, out) => {
  const view = viewOf(bytes);
  for (let i = 0; i < out.length; i++) out[i] = Number(view.getBigInt64(8 * i, true));
};
