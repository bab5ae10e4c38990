/**
 * A run of bytes in a block: its name and its size, which may depend on how many values the block holds.
 * Multi-byte numbers are little-endian.
 */
export interface Field<Name extends string = string> {
  readonly name: Name;
  bytes(values: number): number;
}

/** How one block is stored: `values` numbers in `bytes` bytes, each field at its byte offset. */
export interface Layout<Name extends string = string> {
  readonly values: number;
  readonly bytes: number;
  readonly at: Readonly<Record<Name, number>>;
}

/** The layout of `values` numbers as these fields one after another, without gaps. */
export function block<const Fields extends readonly Field[]>(
  values: number,
  ...fields: Fields
): Layout<Fields[number]["name"]> {
  const at: Record<string, number> = {};
  let bytes = 0;
  for (const field of fields) {
    at[field.name] = bytes;
    bytes += field.bytes(values);
  }
  return { values, bytes, at: at as Record<Fields[number]["name"], number> };
}

/** `count` numbers of `width` bytes each. */
function numbers<Name extends string>(name: Name, width: number, count: number): Field<Name> {
  return { name, bytes: () => width * count };
}

export const u8 = <Name extends string>(name: Name, count = 1) => numbers(name, 1, count);
export const i8 = <Name extends string>(name: Name, count = 1) => numbers(name, 1, count);
export const u16 = <Name extends string>(name: Name, count = 1) => numbers(name, 2, count);
export const i16 = <Name extends string>(name: Name, count = 1) => numbers(name, 2, count);
export const i32 = <Name extends string>(name: Name, count = 1) => numbers(name, 4, count);
export const i64 = <Name extends string>(name: Name, count = 1) => numbers(name, 8, count);
export const f16 = <Name extends string>(name: Name, count = 1) => numbers(name, 2, count);
export const bf16 = <Name extends string>(name: Name, count = 1) => numbers(name, 2, count);
export const f32 = <Name extends string>(name: Name, count = 1) => numbers(name, 4, count);
export const f64 = <Name extends string>(name: Name, count = 1) => numbers(name, 8, count);

/** `width` bits for each value of the block, or for each of `count` things. */
export function bits<Name extends string>(width: number, name: Name, count?: number): Field<Name> {
  return { name, bytes: (values) => (width * (count ?? values)) / 8 };
}

/**
 * Writes the values of one block.
 *
 * @param bytes  holds the block
 * @param at     where it starts
 * @param out    receives its values as f32
 * @param to     where they start
 */
export type Decoder = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;
