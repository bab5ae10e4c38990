import { quoted } from "../errors.ts";
import {
  arraysTooDeep,
  bigEndian,
  duplicateKey,
  duplicateTensor,
  invalidAlignment,
  invalidBoolean,
  keyLength,
  noSources,
  notGguf,
  splitCount,
  splitNumber,
  splitTensors,
  tensorAlignment,
  tensorBounds,
  tensorDimensions,
  tensorOverlap,
  tensorShape,
  unknownTensorType,
  unknownValueType,
  unsupportedVersion,
} from "./errors.ts";
import { HeaderReader } from "./header.ts";
import { Metadata, type MetadataValue, type ValueType } from "./metadata.ts";
import type { ByteSource } from "./source.ts";
import { type TensorType, tensorTypeOf, tensorTypes } from "./types.ts";
import { arrayId, booleanId, numberTypeOf, numberTypes, stringId } from "./value-types.ts";

// The GGUF file format, versions 2 and 3. Source: the GGUF specification (ggml, docs/gguf.md).
// Every count, length, offset, dimension and product is checked against the size of the file before
// anything is made from it.

/** A model file, or all parts of a split one: what it says, and where its tensors are. */
export interface Gguf {
  readonly version: number;
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** All parts together. */
  readonly bytes: number;
  /** The parts in order. */
  readonly sources: readonly ByteSource[];
}

/** Where a tensor is and how it is stored. */
export interface Tensor {
  readonly name: string;
  readonly type: TensorType;
  /** As in the file: the fastest dimension, a row's length, first. */
  readonly shape: readonly number[];
  /** The product of the shape. */
  readonly values: number;
  readonly bytes: number;
  /** From the start of its source. */
  readonly offset: number;
  readonly source: ByteSource;
}

/**
 * Reads the header of a GGUF file. The sources stay open for reading tensors; whoever opened them closes
 * them.
 *
 * @param sources  a file, or all parts of a split model in any order
 * @throws ClavisError `gguf.*` saying what is wrong with the file, and what a source throws
 */
export async function openGguf(sources: ByteSource | readonly ByteSource[]): Promise<Gguf> {
  const given = Array.isArray(sources) ? (sources as readonly ByteSource[]) : [sources as ByteSource];
  if (given.length === 0) throw noSources();
  const parts: Part[] = [];
  for (const source of given) parts.push(await readPart(source));
  return joined(parts);
}

/** What comes of reading the header; the sources are closed then. @throws ClavisError as {@link openGguf} */
export async function withGguf<T>(
  sources: readonly ByteSource[],
  use: (gguf: Gguf) => T | Promise<T>,
): Promise<T> {
  try {
    return await use(await openGguf(sources));
  } finally {
    await Promise.all(sources.map((source) => source.close()));
  }
}

/** One file. */
interface Part {
  readonly source: ByteSource;
  readonly version: number;
  readonly metadata: Metadata;
  readonly tensors: readonly Tensor[];
}

// Far more than any model has, and few enough that their objects stay small beside the allowed 256 MiB.
const mostKeys = 2 ** 16;
const mostTensors = 2 ** 17;
const largestAlignment = 2 ** 20;
const longestKeyBytes = 65_535;
const mostDimensions = 4;

async function readPart(source: ByteSource): Promise<Part> {
  const reader = new HeaderReader(source);
  const version = await readVersion(reader);
  await reader.need(16, "the header");
  // A tensor takes at least a name's length, dimensions, type and offset; a key its length, a type, a byte.
  const tensorCount = reader.count("tensors", 8 + 4 + 4 + 8, mostTensors);
  const keyCount = reader.count("metadata keys", 8 + 1 + 4 + 1, mostKeys);
  const metadata = await readMetadata(reader, keyCount);
  const alignment = readAlignment(source.name, metadata);
  const infos = await readTensorInfos(reader, tensorCount);
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  const tensors = infos.map((info) => located(info, source, dataStart, alignment));
  checkApart(tensors);
  return { source, version, metadata, tensors };
}

async function readVersion(reader: HeaderReader): Promise<number> {
  const { name, size } = reader.source;
  const head = new Uint8Array(Math.min(size, 16));
  await reader.source.readInto(0, head);
  const latin = String.fromCharCode(...head);
  if (!latin.startsWith("GGUF")) throw notGguf(name, latin.slice(0, 4), guessed(latin));
  await reader.need(8, "the header");
  reader.skip(4);
  const version = reader.u32();
  // Written by a big-endian machine, version 3 reads as 0x03000000.
  if ((version & 0xffff) === 0 && version !== 0) throw bigEndian(name);
  if (version !== 2 && version !== 3) throw unsupportedVersion(name, version);
  return version;
}

/** What a file that is no GGUF seems to be, by its first 16 bytes. */
function guessed(head: string): string | undefined {
  if (head === "") return "an empty file";
  if (head.startsWith("PK")) return "a PyTorch or zip archive";
  if (/^(lmgg|fmgg|tjgg|ggml|ggmf|ggjt)/.test(head)) return "a GGML file from before GGUF";
  if (head.startsWith("version https://")) return "a Git LFS pointer in place of the file";
  if (/^\s*<(!doctype|html)/i.test(head)) return "a web page saved in place of the file";
  if (head.charCodeAt(8) === 0x7b) return "a safetensors file";
  return undefined;
}

// ---- metadata

/** Arrays in arrays are in the format, but no published model has them. */
const deepestArray = 4;

/** What a file may still have of the things that take far more memory than bytes in the file. */
interface Allowance {
  innerArrays: number;
  /** In arrays: a byte in the file, eight as a JavaScript value. */
  booleans: number;
}

const allowance = (): Allowance => ({ innerArrays: 2 ** 16, booleans: 2 ** 20 });

async function readMetadata(reader: HeaderReader, count: number): Promise<Metadata> {
  const values = new Map<string, MetadataValue>();
  const types = new Map<string, ValueType>();
  const { name } = reader.source;
  const left = allowance();
  for (let i = 0; i < count; i++) {
    const what = `metadata key ${i + 1}`;
    if (!reader.has(8)) await reader.need(8, `the length of ${what}`);
    const length = reader.count(`bytes for ${what}`, 1);
    if (length < 1 || length > longestKeyBytes) throw keyLength(name, length);
    if (!reader.has(length + 4)) await reader.need(length + 4, what);
    const key = reader.text(length, what);
    if (values.has(key)) throw duplicateKey(name, key);
    const { type, value } = await readValue(reader, key, reader.u32(), 0, left);
    values.set(key, value);
    types.set(key, type);
  }
  return new Metadata(values, types);
}

interface TypedValue {
  readonly type: ValueType;
  readonly value: MetadataValue;
}

async function readValue(
  reader: HeaderReader,
  key: string,
  typeId: number,
  depth: number,
  left: Allowance,
): Promise<TypedValue> {
  const { name } = reader.source;
  const what = `metadata ${quoted(key)}`;
  const type = numberTypeOf(typeId);
  if (type !== undefined) {
    const { bytes, get } = numberTypes[type];
    await reader.need(bytes, what);
    return { type, value: reader.take(bytes, get) };
  }
  if (typeId === booleanId) {
    await reader.need(1, what);
    return { type: "bool", value: booleanOf(reader.u8(), name, key) };
  }
  if (typeId === stringId) return { type: "string", value: await reader.string(what) };
  if (typeId !== arrayId) throw unknownValueType(name, key, typeId);

  if (depth === deepestArray) throw arraysTooDeep(name, key, deepestArray);
  await reader.need(12, what);
  const itemId = reader.u32();
  const itemType = numberTypeOf(itemId);
  if (itemType !== undefined) {
    const { bytes, Array: TypedArray } = numberTypes[itemType];
    const items = new TypedArray(reader.count(`items in ${what}`, bytes));
    // The file is little-endian, as is every machine that JavaScript engines with WebAssembly run on.
    await reader.copyInto(new Uint8Array(items.buffer), what);
    return { type: `${itemType}[]`, value: items as MetadataValue };
  }
  if (itemId === stringId) {
    const count = reader.count(`strings in ${what}`, 8);
    return { type: "string[]", value: await reader.strings(count, what) };
  }
  if (itemId === booleanId) {
    const count = reader.count(`truth values in ${what}`, 1, left.booleans);
    left.booleans -= count;
    const bytes = new Uint8Array(count);
    await reader.copyInto(bytes, what);
    return { type: "bool[]", value: Array.from(bytes, (byte) => booleanOf(byte, name, key)) };
  }
  if (itemId !== arrayId) throw unknownValueType(name, key, itemId);

  const count = reader.count(`arrays in ${what}`, 12, left.innerArrays);
  left.innerArrays -= count;
  const items: MetadataValue[] = [];
  for (let i = 0; i < count; i++) {
    const inner = await readValue(reader, key, arrayId, depth + 1, left);
    items.push(inner.value);
  }
  return { type: "array[]", value: items };
}

function booleanOf(byte: number, name: string, key: string): boolean {
  if (byte > 1) throw invalidBoolean(name, key, byte);
  return byte === 1;
}

function readAlignment(name: string, metadata: Metadata): number {
  const value = metadata.get("general.alignment") ?? 32;
  const valid =
    typeof value === "number" &&
    value >= 1 &&
    value <= largestAlignment &&
    Number.isInteger(Math.log2(value));
  if (!valid) throw invalidAlignment(name, value, largestAlignment);
  return value;
}

// ---- tensors

/** A tensor as the header lists it; offset from the start of the data. */
interface TensorInfo {
  readonly name: string;
  readonly type: TensorType;
  readonly shape: readonly number[];
  readonly values: number;
  readonly offset: number | bigint;
}

async function readTensorInfos(reader: HeaderReader, count: number): Promise<TensorInfo[]> {
  const infos: TensorInfo[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const what = `tensor ${i + 1}`;
    if (!reader.has(8)) await reader.need(8, what);
    const length = reader.count(`bytes for the name of ${what}`, 1);
    if (!reader.has(length + 4)) await reader.need(length + 4, what);
    const name = reader.text(length, `the name of ${what}`);
    if (names.has(name)) throw duplicateTensor(reader.source.name, name);
    names.add(name);
    const dimensions = reader.u32();
    if (dimensions > mostDimensions) throw tensorDimensions(name, dimensions);
    const rest = 8 * dimensions + 4 + 8;
    if (!reader.has(rest)) await reader.need(rest, `the description of tensor ${quoted(name)}`);
    const declared: (number | bigint)[] = [];
    for (let d = 0; d < dimensions; d++) declared.push(reader.u64());
    const typeId = reader.u32();
    const offset = reader.u64();
    const type = tensorTypeOf(typeId);
    if (type === undefined) throw unknownTensorType(name, typeId, Object.keys(tensorTypes).join(", "));
    const { shape, values } = checkedShape(name, type, declared);
    infos.push({ name, type, shape, values, offset });
  }
  return infos;
}

/** The shape and its product; a tensor without dimensions is one number. */
function checkedShape(name: string, type: TensorType, declared: readonly (number | bigint)[]) {
  const shape: number[] = [];
  let values = 1;
  for (const dimension of declared) {
    if (dimension === 0) throw tensorShape(name, declared, "every dimension to be at least 1");
    values *= Number(dimension);
    if (values > Number.MAX_SAFE_INTEGER) throw tensorShape(name, declared, "at most 2^53 values");
    shape.push(Number(dimension));
  }
  if (shape.length === 0) shape.push(1);
  const { block } = tensorTypes[type];
  if (shape[0] % block !== 0) {
    throw tensorShape(name, declared, `rows to be a multiple of ${block}, the block of ${type}`);
  }
  return { shape, values };
}

function located(info: TensorInfo, source: ByteSource, dataStart: number, alignment: number): Tensor {
  const { name, type, shape, values } = info;
  const bytes = (values / tensorTypes[type].block) * tensorTypes[type].bytes;
  // Beyond 2^53 the sum is not exact, but then it is far past the end of any file.
  const offset = dataStart + Number(info.offset);
  if (offset + bytes > source.size) {
    const end = BigInt(dataStart) + BigInt(info.offset) + BigInt(bytes);
    throw tensorBounds(name, source.name, end, source.size);
  }
  if (Number(info.offset) % alignment !== 0) throw tensorAlignment(name, info.offset, alignment);
  return { name, type, shape, values, bytes, offset, source };
}

function checkApart(tensors: readonly Tensor[]): void {
  const sorted = tensors.toSorted((a, b) => a.offset - b.offset);
  for (let i = 1; i < sorted.length; i++) {
    const before = sorted[i - 1];
    if (before.offset + before.bytes > sorted[i].offset) throw tensorOverlap(sorted[i].name, before.name);
  }
}

// ---- split models

/** The parts as one model: metadata from the first, tensors from all. */
function joined(parts: readonly Part[]): Gguf {
  const declared = parts[0].metadata.optionalNumber("split.count", 1);
  // Tools write split.count 0 or 1 into models that are not split.
  if (Math.max(declared, 1) !== parts.length) throw splitCount(parts[0].source.name, declared, parts.length);
  const ordered = parts.length === 1 ? parts : inOrder(parts);

  const tensors = new Map<string, Tensor>();
  for (const part of ordered) {
    for (const tensor of part.tensors) {
      if (tensors.has(tensor.name)) throw duplicateTensor(part.source.name, tensor.name);
      tensors.set(tensor.name, tensor);
    }
  }
  const total = ordered[0].metadata.optionalNumber("split.tensors.count");
  if (parts.length > 1 && total !== undefined && total !== tensors.size)
    throw splitTensors(tensors.size, total);
  return {
    version: ordered[0].version,
    metadata: ordered[0].metadata,
    tensors,
    bytes: ordered.reduce((sum, part) => sum + part.source.size, 0),
    sources: ordered.map((part) => part.source),
  };
}

function inOrder(parts: readonly Part[]): Part[] {
  const ordered = new Array<Part | undefined>(parts.length);
  for (const part of parts) {
    const count = part.metadata.number("split.count");
    if (count !== parts.length) throw splitCount(part.source.name, count, parts.length);
    const number = part.metadata.number("split.no");
    const expected = Number.isInteger(number) && number >= 0 && number < parts.length;
    if (!expected || ordered[number] !== undefined) throw splitNumber(part.source.name, number, parts.length);
    ordered[number] = part;
  }
  return ordered as Part[];
}
