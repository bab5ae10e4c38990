import { quoted } from "../errors.ts";
import {
  duplicateEntry,
  tensorDataLength,
  unwritableAlignment,
  unwritableShape,
  unwritableText,
  unwritableValue,
} from "./errors.ts";
import type { MetadataEntry, MetadataValue, ScalarType, ValueType } from "./metadata.ts";
import { type TensorType, tensorTypes } from "./types.ts";
import { arrayId, booleanId, type NumberType, numberTypes, stringId } from "./value-types.ts";

// Writes GGUF version 3. Source: the GGUF specification (ggml, docs/gguf.md).

/** Takes bytes one piece after another. It may not keep a piece after its promise is done. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A tensor to write. Its bytes come in pieces of any size, so that no tensor has to be in memory. */
export interface TensorInput {
  readonly name: string;
  readonly type: TensorType;
  /** The fastest dimension first, as in Tensor; one to four dimensions. */
  readonly shape: readonly number[];
  /** The pieces, or what makes them when the tensor's turn comes. */
  readonly data: Pieces | (() => Pieces);
}

export interface GgufInput {
  readonly metadata: Iterable<MetadataEntry>;
  readonly tensors: readonly TensorInput[];
  /** Bytes; where neither this nor general.alignment is given, 32. */
  readonly alignment?: number;
}

/**
 * Writes a model file.
 *
 * @throws ClavisError `gguf.write_*` saying which entry or tensor cannot be written, before the first byte
 *         but for `gguf.write_length`, where a tensor's pieces have another length than its shape
 */
export async function writeGguf(sink: ByteSink, input: GgufInput): Promise<void> {
  const metadata = [...input.metadata];
  const alignment = checkedAlignment(metadata, input.alignment);
  checkOnce(
    "metadata key",
    metadata.map(([key]) => key),
  );
  checkOnce(
    "tensor",
    input.tensors.map(({ name }) => name),
  );

  const header = new ByteWriter();
  header.bytes(Uint8Array.of(0x47, 0x47, 0x55, 0x46)); // GGUF
  header.number("u32", 3);
  header.number("u64", input.tensors.length);
  header.number("u64", metadata.length);
  for (const [key, type, value] of metadata) {
    header.string(key, "a metadata key");
    writeValue(header, key, type, value);
  }
  let offset = 0;
  for (const tensor of input.tensors) {
    header.string(tensor.name, "a tensor name");
    header.number("u32", tensor.shape.length);
    for (const dimension of tensor.shape) header.number("u64", dimension);
    header.number("u32", tensorTypes[tensor.type].id);
    header.number("u64", offset);
    offset += aligned(tensorBytes(tensor), alignment);
  }
  // Without tensors there is no data to align.
  if (offset > 0) header.bytes(new Uint8Array(aligned(header.length, alignment) - header.length));
  await sink.write(header.written());

  for (const tensor of input.tensors) {
    const bytes = tensorBytes(tensor);
    let done = 0;
    for await (const piece of typeof tensor.data === "function" ? tensor.data() : tensor.data) {
      done += piece.length;
      if (done > bytes) break;
      await sink.write(piece);
    }
    if (done !== bytes) throw tensorDataLength(tensor.name, done, bytes);
    const padding = aligned(bytes, alignment) - bytes;
    if (padding > 0) await sink.write(new Uint8Array(padding));
  }
}

/** A sink that keeps everything, for files small enough. */
export function memorySink(): ByteSink & { bytes(): Uint8Array } {
  const writer = new ByteWriter();
  return {
    async write(bytes) {
      writer.bytes(bytes);
    },
    bytes: () => writer.written(),
  };
}

const aligned = (bytes: number, alignment: number) => Math.ceil(bytes / alignment) * alignment;

function checkedAlignment(metadata: MetadataEntry[], wanted: number | undefined): number {
  const declared = metadata.find(([key]) => key === "general.alignment")?.[2];
  const alignment = declared ?? wanted ?? 32;
  const valid = typeof alignment === "number" && Number.isInteger(Math.log2(alignment));
  if (!valid || alignment < 1 || alignment > 2 ** 20 || (wanted !== undefined && wanted !== alignment)) {
    throw unwritableAlignment(alignment);
  }
  if (declared === undefined && alignment !== 32) metadata.push(["general.alignment", "u32", alignment]);
  return alignment;
}

function checkOnce(what: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw duplicateEntry(what, name);
    seen.add(name);
  }
}

function tensorBytes({ name, type, shape }: TensorInput): number {
  const { block, bytes } = tensorTypes[type];
  if (shape.length < 1 || shape.length > 4) throw unwritableShape(name, shape, "one to four dimensions");
  if (!shape.every((dimension) => Number.isSafeInteger(dimension) && dimension > 0)) {
    throw unwritableShape(name, shape, "whole dimensions of at least 1");
  }
  if (shape[0] % block !== 0) throw unwritableShape(name, shape, `rows to be a multiple of ${block}`);
  const total = (shape.reduce((product, dimension) => product * dimension, 1) / block) * bytes;
  if (!Number.isSafeInteger(total)) throw unwritableShape(name, shape, "at most 2^53 bytes");
  return total;
}

function writeValue(writer: ByteWriter, key: string, type: ValueType, value: MetadataValue): void {
  if (!type.endsWith("[]")) {
    const scalar = type as ScalarType;
    writer.number("u32", idOf(scalar));
    writeScalar(writer, key, scalar, value);
    return;
  }
  writer.number("u32", arrayId);
  writeItems(writer, key, type.slice(0, -2) as ScalarType | "array", value);
}

/** An array's item type, count and items. */
function writeItems(
  writer: ByteWriter,
  key: string,
  itemType: ScalarType | "array",
  value: MetadataValue,
): void {
  if (!Array.isArray(value) && !ArrayBuffer.isView(value)) {
    throw unwritableValue(key, `${itemType}[]`, described(value));
  }
  const items = value as ArrayLike<MetadataValue>;
  writer.number("u32", itemType === "array" ? arrayId : idOf(itemType));
  writer.number("u64", items.length);
  for (let i = 0; i < items.length; i++) {
    if (itemType === "array") writeItems(writer, key, innerType(items[i]), items[i]);
    else writeScalar(writer, key, itemType, items[i]);
  }
}

/** The item type of an array in an array, which has none of its own: from its class or first item. */
function innerType(value: MetadataValue): ScalarType | "array" {
  for (const [type, { Array: TypedArray }] of Object.entries(numberTypes)) {
    if (value instanceof TypedArray) return type as NumberType;
  }
  const first: unknown = Array.isArray(value) ? value[0] : undefined;
  if (typeof first === "boolean") return "bool";
  if (typeof first === "number") return "f64";
  return Array.isArray(first) || ArrayBuffer.isView(first) ? "array" : "string";
}

function idOf(type: ScalarType): number {
  if (type === "bool") return booleanId;
  return type === "string" ? stringId : numberTypes[type].id;
}

function writeScalar(writer: ByteWriter, key: string, type: ScalarType, value: MetadataValue): void {
  if (type === "string" && typeof value === "string") {
    writer.string(value, `metadata ${quoted(key)}`);
  } else if (type === "bool" && typeof value === "boolean") {
    writer.number("u8", value ? 1 : 0);
  } else if (
    type !== "string" &&
    type !== "bool" &&
    (typeof value === "number" || typeof value === "bigint")
  ) {
    if (!fits(type, value)) throw unwritableValue(key, type, described(value));
    writer.number(type, value);
  } else {
    throw unwritableValue(key, type, described(value));
  }
}

/** Whether a number's type can hold it; f32 may round, but not overflow. */
function fits(type: NumberType, value: number | bigint): boolean {
  if (type === "f64" || type === "f32") {
    const number = Number(value);
    return (
      typeof value === "number" &&
      (type === "f64" || !Number.isFinite(number) || Number.isFinite(Math.fround(number)))
    );
  }
  if (typeof value === "number" && !Number.isSafeInteger(value)) return false;
  const bits = BigInt(type.slice(1));
  const whole = BigInt(value);
  return (
    whole ===
    (type.startsWith("u") ? BigInt.asUintN(Number(bits), whole) : BigInt.asIntN(Number(bits), whole))
  );
}

function described(value: MetadataValue): string {
  if (typeof value === "string") return `the string ${quoted(value)}`;
  return typeof value === "object" ? "an array" : `the value ${value}`;
}

const encoder = new TextEncoder();

/** A growing run of bytes. */
class ByteWriter {
  #bytes = new Uint8Array(2 ** 12);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  #room(bytes: number): number {
    const at = this.length;
    this.length += bytes;
    if (this.length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  number(type: NumberType, value: number | bigint): void {
    const { bytes, set } = numberTypes[type];
    const at = this.#room(bytes);
    set(this.#view, at, value);
  }

  /** A length and UTF-8; `what` names the text for the message. */
  string(text: string, what: string): void {
    // TextEncoder would put U+FFFD in place of half a surrogate pair.
    if (/\p{Surrogate}/u.test(text)) throw unwritableText(what);
    const bytes = encoder.encode(text);
    this.number("u64", bytes.length);
    this.bytes(bytes);
  }

  written(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}
