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
import { Metadata, type MetadataValue } from "./metadata.ts";
import type { ByteSource } from "./source.ts";
import { type TensorType, tensorTypeOf, tensorTypes } from "./types.ts";

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

/** One file. */
interface Part {
  readonly source: ByteSource;
  readonly version: number;
  readonly metadata: Metadata;
  readonly tensors: readonly Tensor[];
}

// Far more than any model has, and few enough that their objects stay small beside the allowed 256 MiB.
const mostKeys = 2 ** 16;
const mostTensors = 2 ** 18;
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
const mostInnerArrays = 2 ** 16;
/** As JavaScript values, truth values take 8 bytes each. */
const mostBooleans = 2 ** 20;

/** What a scalar needs to be read: its bytes and how. Numbers are the value types of the format. */
const scalars: Record<number, [bytes: number, get: (view: DataView, at: number) => number | bigint]> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  10: [8, (view, at) => narrow(view.getBigUint64(at, true))],
  11: [8, (view, at) => narrow(view.getBigInt64(at, true))],
  12: [8, (view, at) => view.getFloat64(at, true)],
};

const typedArrays = {
  0: Uint8Array,
  1: Int8Array,
  2: Uint16Array,
  3: Int16Array,
  4: Uint32Array,
  5: Int32Array,
  6: Float32Array,
  10: BigUint64Array,
  11: BigInt64Array,
  12: Float64Array,
};

const booleanType = 7;
const stringType = 8;
const arrayType = 9;

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

async function readMetadata(reader: HeaderReader, count: number): Promise<Metadata> {
  const values = new Map<string, MetadataValue>();
  const { name } = reader.source;
  const innerArrays = { left: mostInnerArrays };
  for (let i = 0; i < count; i++) {
    await reader.need(8, `the length of metadata key ${i + 1}`);
    const length = reader.count(`bytes for metadata key ${i + 1}`, 1);
    if (length < 1 || length > longestKeyBytes) throw keyLength(name, length);
    await reader.need(length + 4, `metadata key ${i + 1}`);
    const key = reader.text(length, `metadata key ${i + 1}`);
    if (values.has(key)) throw duplicateKey(name, key);
    const type = reader.u32();
    values.set(key, await readValue(reader, key, type, 0, innerArrays));
  }
  return new Metadata(values);
}

async function readValue(
  reader: HeaderReader,
  key: string,
  type: number,
  depth: number,
  innerArrays: { left: number },
): Promise<MetadataValue> {
  const { name } = reader.source;
  const what = `metadata ${quoted(key)}`;
  const scalar = scalars[type];
  if (scalar !== undefined) {
    const [bytes, get] = scalar;
    await reader.need(bytes, what);
    return reader.take(bytes, get);
  }
  if (type === booleanType) {
    await reader.need(1, what);
    return booleanOf(reader.u8(), name, key);
  }
  if (type === stringType) return reader.string(what);
  if (type !== arrayType) throw unknownValueType(name, key, type);

  if (depth === deepestArray) throw arraysTooDeep(name, key, deepestArray);
  await reader.need(12, what);
  const itemType = reader.u32();
  if (itemType in typedArrays) {
    const TypedArray = typedArrays[itemType as keyof typeof typedArrays];
    const items = new TypedArray(reader.count(`items in ${what}`, TypedArray.BYTES_PER_ELEMENT));
    // The file is little-endian, as is every machine that JavaScript engines with WebAssembly run on.
    await reader.copyInto(new Uint8Array(items.buffer), what);
    return items as MetadataValue;
  }
  if (itemType === stringType) return reader.strings(reader.count(`strings in ${what}`, 8), what);
  if (itemType === booleanType) {
    const bytes = new Uint8Array(reader.count(`truth values in ${what}`, 1, mostBooleans));
    await reader.copyInto(bytes, what);
    return Array.from(bytes, (byte) => booleanOf(byte, name, key));
  }
  if (itemType !== arrayType) throw unknownValueType(name, key, itemType);

  const count = reader.count(`arrays in ${what}`, 12, innerArrays.left);
  innerArrays.left -= count;
  const items: MetadataValue[] = [];
  for (let i = 0; i < count; i++) {
    items.push(await readValue(reader, key, arrayType, depth + 1, innerArrays));
  }
  return items;
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
    const name = await reader.string(`the name of tensor ${i + 1}`);
    if (names.has(name)) throw duplicateTensor(reader.source.name, name);
    names.add(name);
    const what = `the description of tensor ${quoted(name)}`;
    await reader.need(4, what);
    const dimensions = reader.u32();
    if (dimensions > mostDimensions) throw tensorDimensions(name, dimensions);
    await reader.need(8 * dimensions + 4 + 8, what);
    const declared = Array.from({ length: dimensions }, () => reader.u64());
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
