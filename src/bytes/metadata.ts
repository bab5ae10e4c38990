import { quoted } from "../errors.ts";
import { metadataMissing, metadataType } from "./errors.ts";

/** A row of numbers of any kind: an array or a typed array. */
export interface Numbers extends Iterable<number> {
  readonly length: number;
  readonly [index: number]: number;
}

/**
 * A metadata value as the file gives it. Integers beyond 2^53 are bigints; arrays of numbers are typed
 * arrays (of 64-bit integers: BigInt64Array or BigUint64Array), or plain arrays when made by hand.
 */
export type MetadataValue =
  | number
  | bigint
  | boolean
  | string
  | Numbers
  | BigInt64Array
  | BigUint64Array
  | readonly string[]
  | readonly boolean[]
  | readonly MetadataValue[];

/** The kinds of single value that the format has, by their usual short names. */
export type ScalarType =
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "f32"
  | "bool"
  | "string"
  | "u64"
  | "i64"
  | "f64";

/** A value's type in the file; `array[]` is an array of arrays. */
export type ValueType = ScalarType | `${ScalarType}[]` | "array[]";

/** One piece of metadata with its type, as a writer needs it. */
export type MetadataEntry = readonly [key: string, type: ValueType, value: MetadataValue];

/**
 * What a model file says about itself, by key. The getters check types, so that a damaged file is told by
 * key, found type and expected type rather than by a failure further on.
 */
export class Metadata {
  readonly #values: ReadonlyMap<string, MetadataValue>;
  readonly #types: ReadonlyMap<string, ValueType>;

  /**
   * @param values  by key; a plain object serves where a file is not at hand
   * @param types   what each had in the file
   */
  constructor(
    values: ReadonlyMap<string, MetadataValue> | Readonly<Record<string, MetadataValue>> = {},
    types: ReadonlyMap<string, ValueType> = new Map(),
  ) {
    this.#values = values instanceof Map ? values : new Map(Object.entries(values));
    this.#types = types;
  }

  get size(): number {
    return this.#values.size;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  get(key: string): MetadataValue | undefined {
    return this.#values.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#values.keys();
  }

  /** The value's type in the file; undefined for a missing key, or metadata made by hand. */
  typeOf(key: string): ValueType | undefined {
    return this.#types.get(key);
  }

  /** Everything that came from a file, in its order, for writing it again. */
  *entries(): Generator<MetadataEntry> {
    for (const [key, type] of this.#types) yield [key, type, this.#values.get(key)!];
  }

  /** @throws ClavisError `gguf.metadata_missing`, `gguf.metadata_type`; not finite or beyond 2^53 is refused */
  number(key: string): number {
    return this.optionalNumber(key) ?? missing(key, "a number");
  }

  /** As number; `fallback` where the key is missing. */
  optionalNumber(key: string): number | undefined;
  optionalNumber(key: string, fallback: number): number;
  optionalNumber(key: string, fallback?: number): number | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return fallback;
    if (typeof value === "bigint") throw metadataType(key, `the number ${value}`, "one of at most 2^53");
    if (typeof value !== "number") throw metadataType(key, described(value), "a number");
    if (!Number.isFinite(value)) throw metadataType(key, `the number ${value}`, "a finite one");
    return value;
  }

  /** @throws ClavisError `gguf.metadata_missing`, `gguf.metadata_type` */
  string(key: string): string {
    return this.optionalString(key) ?? missing(key, "a string");
  }

  /** As string; `fallback` where the key is missing. */
  optionalString(key: string): string | undefined;
  optionalString(key: string, fallback: string): string;
  optionalString(key: string, fallback?: string): string | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return fallback;
    if (typeof value !== "string") throw metadataType(key, described(value), "a string");
    return value;
  }

  /** @throws ClavisError `gguf.metadata_missing`, `gguf.metadata_type` */
  boolean(key: string): boolean {
    return this.optionalBoolean(key) ?? missing(key, "true or false");
  }

  /** As boolean; `fallback` where the key is missing. */
  optionalBoolean(key: string): boolean | undefined;
  optionalBoolean(key: string, fallback: boolean): boolean;
  optionalBoolean(key: string, fallback?: boolean): boolean | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return fallback;
    if (typeof value !== "boolean") throw metadataType(key, described(value), "true or false");
    return value;
  }

  /** @throws ClavisError `gguf.metadata_missing`, `gguf.metadata_type` */
  strings(key: string): readonly string[] {
    return this.optionalStrings(key) ?? missing(key, "an array of strings");
  }

  /** As strings; undefined where the key is missing. */
  optionalStrings(key: string): readonly string[] | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    // The reader makes arrays of one type, so the first element speaks for all; arrays by hand are small.
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    throw metadataType(key, described(value), "an array of strings");
  }

  /** @throws ClavisError `gguf.metadata_missing`, `gguf.metadata_type`; integers beyond 2^53 are refused */
  numbers(key: string): Numbers {
    return this.optionalNumbers(key) ?? missing(key, "an array of numbers");
  }

  /** As numbers; undefined where the key is missing. */
  optionalNumbers(key: string): Numbers | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    if (value instanceof BigInt64Array || value instanceof BigUint64Array) return narrowed(key, value);
    if (ArrayBuffer.isView(value)) return value as unknown as Numbers;
    if (Array.isArray(value) && value.every((item) => typeof item === "number")) return value;
    throw metadataType(key, described(value), "an array of numbers");
  }
}

function missing(key: string, expected: string): never {
  throw metadataMissing(key, expected);
}

/** 64-bit integers as numbers. */
function narrowed(key: string, values: BigInt64Array | BigUint64Array): Numbers {
  const narrow = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    narrow[i] = Number(values[i]);
    if (!Number.isSafeInteger(narrow[i])) {
      throw metadataType(key, `an array with ${values[i]} in it`, "numbers of at most 2^53");
    }
  }
  return narrow;
}

/** A value's type and, where short, the value itself: `the string "llama"`, `an array of 3 numbers`. */
function described(value: MetadataValue): string {
  if (typeof value === "string") return `the string ${quoted(value)}`;
  if (typeof value === "number" || typeof value === "bigint") return `the number ${value}`;
  if (typeof value === "boolean") return `the truth value ${value}`;
  const { length } = value;
  if (length === 0) return "an empty array";
  const first = typeof (value as ArrayLike<unknown>)[0];
  const items = { string: "strings", boolean: "truth values", number: "numbers", bigint: "numbers" };
  return `an array of ${length} ${items[first as keyof typeof items] ?? "arrays"}`;
}
