import type { GgufInput, TensorInput } from "../../src/bytes/gguf-writer.ts";
import type { MetadataEntry, MetadataValue, ValueType } from "../../src/bytes/metadata.ts";
import type { ByteSource } from "../../src/bytes/source.ts";
import { rowBytes } from "../../src/bytes/types.ts";

// Files that lie, for testing that every reader of model files answers with an error. Two levels:
// bytes that no writer would write (hostileFiles), and well-formed files with the wrong contents
// (withMetadata and its neighbours, over what writeGguf or syntheticModel take).

/** A file as bytes. `code`, where given, is the error that it must raise; else an error or a valid reading. */
export interface HostileFile {
  readonly title: string;
  readonly bytes: Uint8Array;
  readonly code?: string;
}

/** A number in a file: where it is, how wide, and what it says. */
export interface NumberField {
  readonly what: string;
  readonly at: number;
  readonly bytes: 4 | 8;
}

/** Bytes one after another, whatever they say; numbers are remembered, so that they can be falsified. */
export class RawFile {
  #bytes = new Uint8Array(2 ** 10);
  length = 0;
  readonly fields: NumberField[] = [];

  raw(bytes: ArrayLike<number>): this {
    const end = this.length + bytes.length;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.length);
    this.length = end;
    return this;
  }

  u32(value: number, what = "a number"): this {
    this.fields.push({ what, at: this.length, bytes: 4 });
    return this.raw([value, value >>> 8, value >>> 16, value >>> 24]);
  }

  u64(value: number | bigint, what = "a number"): this {
    this.fields.push({ what, at: this.length, bytes: 8 });
    return this.raw(bytesOf(BigInt(value), 8));
  }

  text(text: string, what = "a text"): this {
    const bytes = new TextEncoder().encode(text);
    return this.u64(bytes.length, `length of ${what}`).raw(bytes);
  }

  header(tensors: number | bigint, keys: number | bigint, version = 3): this {
    return this.raw([0x47, 0x47, 0x55, 0x46])
      .u32(version, "version")
      .u64(tensors, "tensor count")
      .u64(keys, "key count");
  }

  /** A key and its value type; the value follows. */
  key(key: string, type: number): this {
    return this.text(key, `key ${key}`).u32(type, `type of ${key}`);
  }

  /** A key with an array's item type and length; the items follow. */
  arrayKey(key: string, itemType: number, items: number | bigint): this {
    return this.key(key, 9).u32(itemType, `item type of ${key}`).u64(items, `items of ${key}`);
  }

  tensor(name: string, shape: readonly (number | bigint)[], type: number, offset: number | bigint): this {
    this.text(name, `name of tensor ${name}`).u32(shape.length, `dimensions of ${name}`);
    for (const [i, dimension] of shape.entries()) this.u64(dimension, `dimension ${i} of ${name}`);
    return this.u32(type, `type of ${name}`).u64(offset, `offset of ${name}`);
  }

  /** Zeros up to a multiple of `bytes`. */
  align(bytes = 32): this {
    return this.raw(new Uint8Array(Math.ceil(this.length / bytes) * bytes - this.length));
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }
}

function bytesOf(value: bigint, bytes: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(value).buffer, 0, bytes);
}

/** A small valid file with every kind of value and three tensors; hostile files are this one, changed. */
export function smallFile(version = 3): RawFile {
  const file = new RawFile().header(3, 17, version);
  file.key("general.architecture", 8).text("llama");
  file.key("general.alignment", 4).u32(32);
  file.key("a.u8", 0).raw([200]);
  file.key("a.i8", 1).raw([200]);
  file.key("a.u16", 2).raw([1, 2]);
  file.key("a.i16", 3).raw([255, 255]);
  file.key("a.i32", 5).u32(0xffffffff);
  file.key("a.f32", 6).raw([0, 0, 128, 63]);
  file.key("a.bool", 7).raw([1]);
  file.key("a.u64", 10).u64(2n ** 60n);
  file.key("a.i64", 11).u64(7);
  file.key("a.f64", 12).raw([0, 0, 0, 0, 0, 0, 240, 63]);
  file.arrayKey("a.strings", 8, 3).text("é").text("").text("字");
  file.arrayKey("a.floats", 6, 2).raw([0, 0, 128, 63, 0, 0, 0, 64]);
  file.arrayKey("a.bools", 7, 2).raw([0, 1]);
  file.arrayKey("a.longs", 10, 1).u64(3);
  file.arrayKey("a.nested", 9, 2).u32(4).u64(1).u32(5).u32(8).u64(1).text("x");
  file.tensor("first", [32, 2], 2, 0); // 36 bytes, padded to 64
  file.tensor("second", [3], 0, 64); // 12 bytes
  file.tensor("third", [256], 14, 96); // 210 bytes
  file.align();
  return file.raw(new Uint8Array(96 + 210));
}

const evilNumbers = [
  0n,
  1n,
  31n,
  33n,
  255n,
  65_536n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 61n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** The bytes with one number replaced. */
export function falsified(bytes: Uint8Array, field: NumberField, value: bigint): Uint8Array {
  const copy = bytes.slice();
  copy.set(bytesOf(value, field.bytes), field.at);
  return copy;
}

/** Cut off after every byte, the whole file excepted. */
export function* truncations(bytes: Uint8Array): Generator<HostileFile> {
  for (let length = 0; length < bytes.length; length++) {
    yield { title: `cut after ${length} bytes`, bytes: bytes.slice(0, length) };
  }
}

/** Every number of the file in turn replaced by every evil one. */
export function* falsehoods(file: RawFile): Generator<HostileFile> {
  const bytes = file.bytes();
  for (const field of file.fields) {
    for (const value of evilNumbers) {
      if (value >= 2n ** BigInt(8 * field.bytes)) continue;
      yield { title: `${field.what} is ${value}`, bytes: falsified(bytes, field, value) };
    }
  }
}

/** Random bytes in random places, the same for the same seed. */
export function* corruptions(bytes: Uint8Array, count: number, seed: number): Generator<HostileFile> {
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let i = 0; i < count; i++) {
    const copy = bytes.slice();
    const changes = 1 + random(8);
    for (let change = 0; change < changes; change++) copy[random(copy.length)] = random(256);
    yield { title: `corruption ${i} of seed ${seed}`, bytes: copy };
  }
}

/** Lies made by hand, each with the error that it must raise. */
export function* lies(): Generator<Required<HostileFile>> {
  const lie = (title: string, code: string, file: RawFile | ArrayLike<number>) => ({
    title,
    code,
    bytes: file instanceof RawFile ? file.bytes() : Uint8Array.from(file),
  });
  const latin = (text: string) => new TextEncoder().encode(text);
  const empty = (version = 3) => new RawFile().header(0, 0, version);
  const oneKey = () => new RawFile().header(0, 1);
  const tensors = (count: number) => new RawFile().header(count, 0);

  yield lie("nothing", "gguf.magic", []);
  yield lie("three bytes", "gguf.magic", latin("GGU"));
  yield lie("another magic", "gguf.magic", latin("GGUX0123456789abcdef"));
  yield lie("a zip file", "gguf.magic", latin("PK\u0003\u0004 and so on"));
  yield lie("a web page", "gguf.magic", latin("<!DOCTYPE html><html></html>"));
  yield lie("a Git LFS pointer", "gguf.magic", latin("version https://git-lfs.github.com/spec/v1"));
  yield lie("safetensors", "gguf.magic", [80, 0, 0, 0, 0, 0, 0, 0, ...latin('{"__metadata__":{}}')]);
  yield lie("version 0", "gguf.version", empty(0));
  yield lie("version 1", "gguf.version", empty(1));
  yield lie("version 4", "gguf.version", empty(4));
  yield lie("version 2^32 − 1", "gguf.version", empty(2 ** 32 - 1));
  yield lie("big-endian", "gguf.big_endian", empty(0x03000000));
  yield lie("2^64 − 1 tensors", "gguf.count", new RawFile().header(2n ** 64n - 1n, 0));
  yield lie("2^64 − 1 keys", "gguf.count", new RawFile().header(0, 2n ** 64n - 1n));

  yield lie("an empty key", "gguf.key_length", oneKey().key("", 4).u32(1));
  yield lie("a key of 65,536 bytes", "gguf.key_length", oneKey().key("k".repeat(65_536), 4).u32(1));
  yield lie(
    "a key twice",
    "gguf.duplicate_key",
    new RawFile().header(0, 2).key("k", 4).u32(1).key("k", 4).u32(1),
  );
  yield lie("value type 13", "gguf.value_type", oneKey().key("k", 13).u64(1));
  yield lie("item type 13", "gguf.value_type", oneKey().arrayKey("k", 13, 1).u64(1));
  yield lie("a truth value of 2", "gguf.boolean", oneKey().key("k", 7).raw([2]).u64(0));
  yield lie("truth values of 2", "gguf.boolean", oneKey().arrayKey("k", 7, 2).raw([1, 2]).u64(0));
  yield lie("a key that is no UTF-8", "gguf.utf8", oneKey().u64(2).raw([0xc3, 0x28]).u32(4).u32(1));
  const texts: [string, number[]][] = [
    ["a lone continuation", [0x80]],
    ["an overlong slash", [0xc0, 0xaf]],
    ["an overlong three-byte form", [0xe0, 0x80, 0xaf]],
    ["an overlong four-byte form", [0xf0, 0x80, 0x80, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["a number above 10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["a start byte of five", [0xf8, 0x88, 0x80, 0x80, 0x80]],
    ["a cut character", [0x61, 0xe5, 0xad]],
    ["a cut character in a long text", [...new Uint8Array(200).fill(0x61), 0xe5, 0xad]],
  ];
  for (const [title, bytes] of texts) {
    yield lie(
      `${title} in a token`,
      "gguf.utf8",
      oneKey().arrayKey("k", 8, 1).u64(bytes.length).raw(bytes).u64(0),
    );
  }
  yield lie("strings past the end", "gguf.count", oneKey().arrayKey("k", 8, 1000).u64(0));
  yield lie("a string past the end", "gguf.count", oneKey().arrayKey("k", 8, 1).u64(5).raw([97]));
  yield lie(
    "numbers past the end",
    "gguf.count",
    oneKey()
      .arrayKey("k", 4, 2n ** 62n)
      .u64(0),
  );
  yield lie("arrays five deep", "gguf.array_depth", nested(5));
  yield lie("arrays 1000 deep", "gguf.array_depth", nested(1000));
  yield lie("100,000 arrays in an array", "gguf.count", arrays(100_000));
  yield lie("arrays of arrays of arrays, 70,000 in all", "gguf.count", arrayTree(10, 7000));
  const half = new Uint8Array(2 ** 19 + 1);
  yield lie(
    "a million truth values in two arrays",
    "gguf.count",
    new RawFile()
      .header(0, 2)
      .arrayKey("k", 7, half.length)
      .raw(half)
      .arrayKey("l", 7, half.length)
      .raw(half),
  );
  for (const value of [0, 3, 48, 2 ** 21, 2 ** 31]) {
    yield lie(`an alignment of ${value}`, "gguf.alignment", oneKey().key("general.alignment", 4).u32(value));
  }
  yield lie("an alignment of text", "gguf.alignment", oneKey().key("general.alignment", 8).text("32"));

  yield lie(
    "a tensor twice",
    "gguf.duplicate_tensor",
    tensors(2).tensor("t", [8], 0, 0).tensor("t", [8], 0, 32).align().raw(new Uint8Array(64)),
  );
  yield lie(
    "five dimensions",
    "gguf.tensor_dimensions",
    tensors(1).tensor("t", [1, 1, 1, 1, 1], 0, 0).align().u32(0),
  );
  yield lie(
    "2^32 − 1 dimensions",
    "gguf.tensor_dimensions",
    tensors(1)
      .text("t")
      .u32(2 ** 32 - 1)
      .u64(0)
      .u64(0)
      .u64(0),
  );
  yield lie("a dimension of 0", "gguf.tensor_shape", tensors(1).tensor("t", [0], 0, 0).align());
  yield lie(
    "half a block",
    "gguf.tensor_shape",
    tensors(1).tensor("t", [16], 2, 0).align().raw(new Uint8Array(32)),
  );
  yield lie(
    "a product over 2^53",
    "gguf.tensor_shape",
    tensors(1)
      .tensor("t", [2n ** 30n, 2n ** 30n], 0, 0)
      .align(),
  );
  yield lie(
    "a product that wraps to 0",
    "gguf.tensor_shape",
    tensors(1)
      .tensor("t", [2n ** 32n, 2n ** 32n], 0, 0)
      .align(),
  );
  yield lie(
    "a product that wraps to 1",
    "gguf.tensor_shape",
    tensors(1)
      .tensor("t", [2n ** 63n + 1n, 2n ** 63n + 1n], 0, 0)
      .align(),
  );
  yield lie(
    "tensor type 4, long removed",
    "gguf.tensor_type",
    tensors(1).tensor("t", [32], 4, 0).align().raw(new Uint8Array(32)),
  );
  yield lie(
    "tensor type 2^32 − 1",
    "gguf.tensor_type",
    tensors(1)
      .tensor("t", [32], 2 ** 32 - 1, 0)
      .align(),
  );
  yield lie(
    "a tensor past the end",
    "gguf.tensor_bounds",
    tensors(1).tensor("t", [9], 0, 0).align().raw(new Uint8Array(32)),
  );
  yield lie(
    "an offset past the end",
    "gguf.tensor_bounds",
    tensors(1).tensor("t", [8], 0, 64).align().raw(new Uint8Array(64)),
  );
  yield lie(
    "an offset that wraps to 0",
    "gguf.tensor_bounds",
    tensors(1)
      .tensor("t", [8], 0, 2n ** 64n - 32n)
      .align()
      .raw(new Uint8Array(64)),
  );
  yield lie(
    "an offset out of step",
    "gguf.tensor_alignment",
    tensors(1).tensor("t", [4], 0, 8).align().raw(new Uint8Array(64)),
  );
  yield lie(
    "two tensors in one place",
    "gguf.tensor_overlap",
    tensors(2).tensor("t", [8], 0, 0).tensor("u", [8], 0, 0).align().raw(new Uint8Array(64)),
  );
  yield lie(
    "tensors that overlap",
    "gguf.tensor_overlap",
    tensors(2).tensor("t", [16], 0, 0).tensor("u", [8], 0, 32).align().raw(new Uint8Array(64)),
  );
  yield lie("a part of a split model alone", "gguf.split_count", oneKey().key("split.count", 2).raw([3, 0]));
}

/** An array in an array in an array… */
function nested(depth: number): RawFile {
  const file = new RawFile().header(0, 1).key("k", 9);
  for (let i = 1; i < depth; i++) file.u32(9).u64(1);
  return file.u32(4).u64(1).u32(1);
}

/** One array of so many empty arrays. */
function arrays(count: number): RawFile {
  const file = new RawFile().header(0, 1).arrayKey("k", 9, count);
  for (let i = 0; i < count; i++) file.u32(4).u64(0);
  return file;
}

/** One array of so many arrays of so many empty arrays each. */
function arrayTree(outer: number, inner: number): RawFile {
  const file = new RawFile().header(0, 1).arrayKey("k", 9, outer);
  for (let i = 0; i < outer; i++) {
    file.u32(9).u64(inner);
    for (let j = 0; j < inner; j++) file.u32(4).u64(0);
  }
  return file;
}

/** All of the above, over the small file. */
export function* hostileFiles(): Generator<HostileFile> {
  const small = smallFile();
  yield* lies();
  yield* truncations(small.bytes());
  yield* falsehoods(small);
  yield* corruptions(small.bytes(), 1000, 1);
}

/** Counts what is read. */
export function countingSource(source: ByteSource): ByteSource & { bytesRead: number; largestRead: number } {
  return {
    name: source.name,
    size: source.size,
    bytesRead: 0,
    largestRead: 0,
    async readInto(offset, target) {
      this.bytesRead += target.byteLength;
      this.largestRead = Math.max(this.largestRead, target.byteLength);
      await source.readInto(offset, target);
    },
    close: () => source.close(),
  };
}

/**
 * A source of any size that starts with the given bytes and repeats others for ever, without memory: what a
 * sparse file of a terabyte looks like.
 */
export function endlessSource(start: Uint8Array, repeated: Uint8Array, size: number): ByteSource {
  return {
    name: "endless.gguf",
    size,
    async readInto(offset, target) {
      const phase = (position: number) => (position - start.length) % repeated.length;
      const first = Math.max(0, Math.min(target.length, start.length - offset));
      target.set(start.subarray(offset, offset + first));
      if (first === target.length) return;
      // One period by hand, then doubled.
      const rest = target.subarray(first);
      for (let i = 0; i < Math.min(rest.length, repeated.length); i++) {
        rest[i] = repeated[phase(offset + first + i)];
      }
      for (let done = repeated.length; done < rest.length; done *= 2) rest.copyWithin(done, 0, done);
    },
    async close() {},
  };
}

// ---- well-formed files with the wrong contents

/** The model with one piece of metadata added or replaced. */
export function withMetadata<Model extends GgufInput>(
  model: Model,
  key: string,
  type: ValueType,
  value: MetadataValue,
): Model {
  const others = [...model.metadata].filter(([other]) => other !== key);
  return { ...model, metadata: [...others, [key, type, value] satisfies MetadataEntry] };
}

/** The model without one piece of metadata. */
export function withoutMetadata<Model extends GgufInput>(model: Model, key: string): Model {
  return { ...model, metadata: [...model.metadata].filter(([other]) => other !== key) };
}

/** The model with one tensor changed: its name, type, shape or data. Changed shapes get zeros for data. */
export function withTensor<Model extends GgufInput>(
  model: Model,
  name: string,
  changes: Partial<TensorInput>,
): Model {
  const changed = (tensor: TensorInput): TensorInput => {
    const { type, shape } = { ...tensor, ...changes };
    const resized = changes.type !== undefined || changes.shape !== undefined;
    const values = shape.reduce((product, dimension) => product * dimension, 1);
    return { ...tensor, ...(resized && { data: [new Uint8Array(rowBytes(type, values))] }), ...changes };
  };
  return {
    ...model,
    tensors: model.tensors.map((tensor) => (tensor.name === name ? changed(tensor) : tensor)),
  };
}

/** The model without one tensor. */
export function withoutTensor<Model extends GgufInput>(model: Model, name: string): Model {
  return { ...model, tensors: model.tensors.filter((tensor) => tensor.name !== name) };
}
