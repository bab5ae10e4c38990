import type { ScalarType } from "./metadata.ts";

/** What kinds of number the format has. Source: GGUF specification, gguf_metadata_value_type. */
export type NumberType = Exclude<ScalarType, "bool" | "string">;

interface NumberInfo {
  readonly id: number;
  readonly bytes: number;
  get(view: DataView, at: number): number | bigint;
  set(view: DataView, at: number, value: number | bigint): void;
  readonly Array: TypedArrayConstructor;
}

type TypedArrayConstructor =
  | Uint8ArrayConstructor
  | Int8ArrayConstructor
  | Uint16ArrayConstructor
  | Int16ArrayConstructor
  | Uint32ArrayConstructor
  | Int32ArrayConstructor
  | Float32ArrayConstructor
  | BigUint64ArrayConstructor
  | BigInt64ArrayConstructor
  | Float64ArrayConstructor;

/** How each kind of number is stored: little-endian, unaligned. */
export const numberTypes: Readonly<Record<NumberType, NumberInfo>> = {
  u8: {
    id: 0,
    bytes: 1,
    get: (v, at) => v.getUint8(at),
    set: (v, at, x) => v.setUint8(at, Number(x)),
    Array: Uint8Array,
  },
  i8: {
    id: 1,
    bytes: 1,
    get: (v, at) => v.getInt8(at),
    set: (v, at, x) => v.setInt8(at, Number(x)),
    Array: Int8Array,
  },
  u16: {
    id: 2,
    bytes: 2,
    get: (v, at) => v.getUint16(at, true),
    set: (v, at, x) => v.setUint16(at, Number(x), true),
    Array: Uint16Array,
  },
  i16: {
    id: 3,
    bytes: 2,
    get: (v, at) => v.getInt16(at, true),
    set: (v, at, x) => v.setInt16(at, Number(x), true),
    Array: Int16Array,
  },
  u32: {
    id: 4,
    bytes: 4,
    get: (v, at) => v.getUint32(at, true),
    set: (v, at, x) => v.setUint32(at, Number(x), true),
    Array: Uint32Array,
  },
  i32: {
    id: 5,
    bytes: 4,
    get: (v, at) => v.getInt32(at, true),
    set: (v, at, x) => v.setInt32(at, Number(x), true),
    Array: Int32Array,
  },
  f32: {
    id: 6,
    bytes: 4,
    get: (v, at) => v.getFloat32(at, true),
    set: (v, at, x) => v.setFloat32(at, Number(x), true),
    Array: Float32Array,
  },
  u64: {
    id: 10,
    bytes: 8,
    get: (v, at) => narrow(v.getBigUint64(at, true)),
    set: (v, at, x) => v.setBigUint64(at, BigInt(x), true),
    Array: BigUint64Array,
  },
  i64: {
    id: 11,
    bytes: 8,
    get: (v, at) => narrow(v.getBigInt64(at, true)),
    set: (v, at, x) => v.setBigInt64(at, BigInt(x), true),
    Array: BigInt64Array,
  },
  f64: {
    id: 12,
    bytes: 8,
    get: (v, at) => v.getFloat64(at, true),
    set: (v, at, x) => v.setFloat64(at, Number(x), true),
    Array: Float64Array,
  },
};

/** A number where that is exact. */
function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

const byId = new Map(Object.entries(numberTypes).map(([name, { id }]) => [id, name as NumberType]));

/** The kind of number with this id in the file, or undefined. */
export const numberTypeOf = (id: number): NumberType | undefined => byId.get(id);

export const booleanId = 7;
export const stringId = 8;
export const arrayId = 9;
