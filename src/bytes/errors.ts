import { ClavisError, grouped, quoted } from "../errors.ts";

// One function per message of this area, so that wording can be reviewed together.

type Whole = number | bigint;

/** Bytes for people: 391,906,304 becomes "373.8 MiB"; below 1 KiB plain bytes. */
function sized(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const power = Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(1)} ${["", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

// ---- byte sources

export const fileMissing = (path: string, cause: unknown) =>
  new ClavisError("source.missing", {
    found: `no file at ${quoted(path)}`,
    expected: "the path of a file",
    next: "Check the spelling and the current folder.",
    cause,
  });

export const fileIsDirectory = (path: string) =>
  new ClavisError("source.directory", {
    found: `${quoted(path)} is a folder`,
    expected: "a file",
    next: "Name the model file inside it, which usually ends in .gguf.",
  });

export const fileNotRegular = (path: string) =>
  new ClavisError("source.not_a_file", {
    found: `${quoted(path)} is a device, pipe or socket`,
    expected: "a regular file",
    next: "Copy the data into a file first.",
  });

export const fileForbidden = (path: string, cause: unknown) =>
  new ClavisError("source.permission", {
    found: `no permission to open ${quoted(path)}`,
    expected: "a file that this user may read",
    next: `Change its permissions (chmod u+r) or run as a user who may read it.`,
    cause,
  });

export const fileUnreadable = (path: string, cause: unknown) =>
  new ClavisError("source.read", {
    found: `the system could not read ${quoted(path)} (${messageOf(cause)})`,
    expected: "a readable file",
    next: "Check the disk or the network folder that it is on.",
    cause,
  });

export const fileShrank = (name: string, size: number, end: number) =>
  new ClavisError("source.shrank", {
    found: `${quoted(name)} ended at byte ${grouped(end)} while it was being read`,
    expected: `${grouped(size)} bytes, its size when it was opened`,
    next: "Something is rewriting the file; wait until that is done and load it again.",
  });

export const sourceClosed = (name: string) =>
  new ClavisError("source.closed", {
    found: `a read from ${quoted(name)} after it was closed`,
    expected: "an open source",
    next: "Open the model again.",
  });

export const sourceRange = (name: string, size: number, offset: number, length: number) =>
  new ClavisError("source.range", {
    found: `a read of ${grouped(length)} bytes at byte ${grouped(offset)} of ${quoted(name)}`,
    expected: `a range inside its ${grouped(size)} bytes`,
    next: "The file is shorter than its contents say; download it again.",
  });

export const urlUnusable = (url: string, cause: unknown) =>
  new ClavisError("source.url", {
    found: `${quoted(url)}, which is no address`,
    expected: "an http or https address, or one relative to the page",
    next: "Give the whole address of the model file.",
    cause,
  });

export const urlUnreachable = (url: string, cause: unknown) =>
  new ClavisError("source.network", {
    found: `no answer from ${quoted(url)} (${messageOf(cause)})`,
    expected: "a server that this page may read from",
    next: "Check the address and the network; another site's server must allow this page (CORS).",
    cause,
  });

export const urlRefused = (url: string, status: number) =>
  new ClavisError(status === 404 || status === 410 ? "source.missing" : "source.http", {
    found: `the server answered ${status} for ${quoted(url)}`,
    expected: "200 or 206 and the bytes of the file",
    next: status === 404 || status === 410 ? "Check the address." : "Try again later, or another address.",
  });

export const urlChanged = (url: string) =>
  new ClavisError("source.changed", {
    found: `${quoted(url)} became another file while it was being read`,
    expected: "the file that it was when it was opened",
    next: "Load the model again.",
  });

export const partMissing = (path: string, part: number, parts: number, cause: unknown) =>
  new ClavisError("gguf.part_missing", {
    found: `part ${part} of ${parts} is missing: no file at ${quoted(path)}`,
    expected: `all ${parts} parts of the split model in one folder`,
    next: "Download the missing part into the same folder.",
    cause,
  });

export const partNumber = (name: string, part: number, parts: number) =>
  new ClavisError("gguf.part_number", {
    found: `${quoted(name)} calls itself part ${part} of ${parts}`,
    expected: "a part number from 1 to the number of parts",
    next: "Give the file the name that it was published under.",
  });

// ---- the file as a whole

export const notGguf = (name: string, magic: string, guess: string | undefined) =>
  new ClavisError("gguf.magic", {
    found: `${quoted(name)} starts with ${quoted(magic)}${guess === undefined ? "" : `, like ${guess}`}`,
    expected: 'a GGUF file, which starts with "GGUF"',
    next: "Use the GGUF version of the model, or convert it to GGUF.",
  });

export const bigEndian = (name: string) =>
  new ClavisError("gguf.big_endian", {
    found: `${quoted(name)} is a big-endian GGUF file`,
    expected: "a little-endian one",
    next: "Download the usual (little-endian) file, or convert this one.",
  });

export const unsupportedVersion = (name: string, version: number) =>
  new ClavisError("gguf.version", {
    found: `${quoted(name)} is GGUF version ${grouped(version)}`,
    expected: "version 2 or 3",
    next:
      version === 1
        ? "Version 1 was replaced in August 2023; download a newer file of the model."
        : "Update Clavis, or check that the file is whole.",
  });

export const truncated = (name: string, what: string, end: Whole, size: number) =>
  new ClavisError("gguf.truncated", {
    found: `${what} ends at byte ${grouped(end)}`,
    expected: `at most ${grouped(size)}, the size of ${quoted(name)}`,
    next: "The file is cut short or damaged; download it again.",
  });

export const tooMany = (name: string, what: string, count: Whole, most: number) =>
  new ClavisError("gguf.count", {
    found: `${quoted(name)} declares ${grouped(count)} ${what}`,
    expected: `at most ${grouped(most)}, which is all that could fit or be needed`,
    next: "The file is damaged; download it again.",
  });

export const headerTooLarge = (name: string, most: number) =>
  new ClavisError("gguf.header_size", {
    found: `the header of ${quoted(name)} goes on past ${sized(most)}`,
    expected: `metadata and tensor list within ${sized(most)}`,
    next: "No real model needs as much; the file is damaged or hostile.",
  });

export const invalidText = (name: string, what: string, offset: number) =>
  new ClavisError("gguf.utf8", {
    found: `${what} at byte ${grouped(offset)} of ${quoted(name)} is not valid UTF-8`,
    expected: "UTF-8 text",
    next: "The file is damaged or was written wrongly; download it again.",
  });

// ---- metadata

export const keyLength = (name: string, length: Whole) =>
  new ClavisError("gguf.key_length", {
    found: `a metadata key of ${grouped(length)} bytes in ${quoted(name)}`,
    expected: "1 to 65,535 bytes",
    next: "The file is damaged; download it again.",
  });

export const duplicateKey = (name: string, key: string) =>
  new ClavisError("gguf.duplicate_key", {
    found: `metadata key ${quoted(key)} twice in ${quoted(name)}`,
    expected: "each key once",
    next: "The file was written wrongly; use another copy of the model.",
  });

export const unknownValueType = (name: string, key: string, type: number) =>
  new ClavisError("gguf.value_type", {
    found: `metadata ${quoted(key)} in ${quoted(name)} has value type ${grouped(type)}`,
    expected: "a type from 0 to 12",
    next: "Update Clavis if the file is newer than it, or download the file again.",
  });

export const invalidBoolean = (name: string, key: string, byte: number) =>
  new ClavisError("gguf.boolean", {
    found: `metadata ${quoted(key)} in ${quoted(name)} holds the truth value ${byte}`,
    expected: "0 or 1",
    next: "The file is damaged; download it again.",
  });

export const arraysTooDeep = (name: string, key: string, most: number) =>
  new ClavisError("gguf.array_depth", {
    found: `metadata ${quoted(key)} in ${quoted(name)} nests arrays more than ${most} deep`,
    expected: `at most ${most} levels`,
    next: "No real model needs as much; the file is damaged or hostile.",
  });

export const invalidAlignment = (name: string, value: unknown, most: number) =>
  new ClavisError("gguf.alignment", {
    found: `general.alignment is ${shown(value)} in ${quoted(name)}`,
    expected: `a power of two from 1 to ${grouped(most)}`,
    next: "The file is damaged; download it again.",
  });

export const metadataMissing = (key: string, expected: string) =>
  new ClavisError("gguf.metadata_missing", {
    found: `the model has no metadata ${quoted(key)}`,
    expected: `${expected} under that key`,
    next: "The file lacks what its architecture or tokenizer needs; use another copy of the model.",
  });

export const metadataType = (key: string, found: string, expected: string) =>
  new ClavisError("gguf.metadata_type", {
    found: `metadata ${quoted(key)} is ${found}`,
    expected,
    next: "The file was written wrongly; use another copy of the model.",
  });

// ---- tensors

export const duplicateTensor = (name: string, tensor: string) =>
  new ClavisError("gguf.duplicate_tensor", {
    found: `tensor ${quoted(tensor)} twice in ${quoted(name)}`,
    expected: "each tensor once",
    next: "The file was written wrongly; use another copy of the model.",
  });

export const unknownTensorType = (tensor: string, type: number, supported: string) =>
  new ClavisError("gguf.tensor_type", {
    found: `tensor ${quoted(tensor)} has type number ${grouped(type)}`,
    expected: `one of ${supported}`,
    next: "Use the model in one of these types.",
  });

export const tensorDimensions = (tensor: string, dimensions: number) =>
  new ClavisError("gguf.tensor_dimensions", {
    found: `tensor ${quoted(tensor)} has ${grouped(dimensions)} dimensions`,
    expected: "at most 4",
    next: "The file is damaged; download it again.",
  });

export const tensorShape = (tensor: string, shape: readonly Whole[], reason: string) =>
  new ClavisError("gguf.tensor_shape", {
    found: `tensor ${quoted(tensor)} has shape [${shape.map(grouped).join(", ")}]`,
    expected: reason,
    next: "The file is damaged; download it again.",
  });

export const tensorAlignment = (tensor: string, offset: Whole, alignment: number) =>
  new ClavisError("gguf.tensor_alignment", {
    found: `tensor ${quoted(tensor)} is stored at offset ${grouped(offset)}`,
    expected: `a multiple of the file's alignment, ${grouped(alignment)}`,
    next: "The file is damaged; download it again.",
  });

export const tensorBounds = (tensor: string, name: string, end: Whole, size: number) =>
  new ClavisError("gguf.tensor_bounds", {
    found: `tensor ${quoted(tensor)} ends at byte ${grouped(end)}`,
    expected: `at most ${grouped(size)}, the size of ${quoted(name)}`,
    next: `The file is ${sized(Number(end) - size)} short; download it again.`,
  });

export const tensorOverlap = (tensor: string, other: string) =>
  new ClavisError("gguf.tensor_overlap", {
    found: `tensors ${quoted(other)} and ${quoted(tensor)} share bytes`,
    expected: "tensors apart from each other",
    next: "The file is damaged; download it again.",
  });

// ---- split models

export const noSources = () =>
  new ClavisError("gguf.no_source", {
    found: "no file at all",
    expected: "a GGUF file, or all parts of a split one",
    next: "Pass at least one byte source.",
  });

export const splitCount = (name: string, declared: number, given: number) =>
  new ClavisError("gguf.split_count", {
    found: `${quoted(name)} belongs to a model of ${grouped(declared)} parts, and ${grouped(given)} were opened`,
    expected: "all parts, each once",
    next: "Keep all parts in one folder under their original names and open any of them.",
  });

export const splitNumber = (name: string, number: number, parts: number) =>
  new ClavisError("gguf.split_number", {
    found: `${quoted(name)} is part number ${grouped(number)} (counted from 0)`,
    expected: `each number from 0 to ${parts - 1} once`,
    next: "One part is there twice or from another model; download the parts again.",
  });

export const splitTensors = (found: number, declared: number) =>
  new ClavisError("gguf.split_tensors", {
    found: `the parts hold ${grouped(found)} tensors together`,
    expected: `${grouped(declared)}, as split.tensors.count says`,
    next: "The parts come from different models; download them again.",
  });

// ---- blocks

export const partialBlocks = (type: string, values: number, block: number) =>
  new ClavisError("block.partial", {
    found: `${grouped(values)} values of type ${type}`,
    expected: `a multiple of ${block}, the values in one block`,
    next: "Check the tensor's shape.",
  });

export const blockBytes = (type: string, bytes: number, expected: number) =>
  new ClavisError("block.bytes", {
    found: `${grouped(bytes)} bytes of type ${type}`,
    expected: `${grouped(expected)} bytes for the values asked for`,
    next: "Pass whole rows of the tensor.",
  });

export const notIntegerType = (type: string) =>
  new ClavisError("block.not_integer", {
    found: `type ${type} has no integer form`,
    expected: "a type for which isIntegerType is true",
    next: "Dequantise it and quantise the values to Q8_0.",
  });

// ---- writing

export const unwritableValue = (key: string, type: string, found: string) =>
  new ClavisError("gguf.write_value", {
    found: `${found} for metadata ${quoted(key)}`,
    expected: `a value that type ${type} can hold`,
    next: "Give the entry another type or value.",
  });

export const unwritableText = (what: string) =>
  new ClavisError("gguf.write_text", {
    found: `${what} contains half a surrogate pair`,
    expected: "text that UTF-8 can hold",
    next: "Replace the broken character.",
  });

export const duplicateEntry = (what: string, name: string) =>
  new ClavisError("gguf.write_duplicate", {
    found: `${what} ${quoted(name)} twice`,
    expected: "each once",
    next: "Remove one of the two.",
  });

export const unwritableAlignment = (found: unknown) =>
  new ClavisError("gguf.write_alignment", {
    found: `an alignment of ${shown(found)}`,
    expected: "a power of two from 1 to 1,048,576, and the same in general.alignment where that is given",
    next: "Leave it out for the usual 32.",
  });

export const unwritableShape = (tensor: string, shape: readonly number[], reason: string) =>
  new ClavisError("gguf.write_shape", {
    found: `tensor ${quoted(tensor)} with shape [${shape.join(", ")}]`,
    expected: reason,
    next: "Give the tensor another shape or type.",
  });

export const tensorDataLength = (tensor: string, bytes: number, expected: number) =>
  new ClavisError("gguf.write_length", {
    found: `${grouped(bytes)} bytes${bytes > expected ? " or more" : ""} of data for tensor ${quoted(tensor)}`,
    expected: `${grouped(expected)} for its type and shape`,
    next: "Give all rows of the tensor, each once.",
  });

export const folderMissing = (path: string, cause: unknown) =>
  new ClavisError("sink.folder", {
    found: `no folder to write ${quoted(path)} in`,
    expected: "a path in an existing folder",
    next: "Make the folder first, or name another one.",
    cause,
  });

export const folderForbidden = (path: string, cause: unknown) =>
  new ClavisError("sink.permission", {
    found: `no permission to write ${quoted(path)}`,
    expected: "a folder that this user may write to",
    next: "Choose another folder.",
    cause,
  });

export const diskFull = (path: string, cause: unknown) =>
  new ClavisError("sink.full", {
    found: `no space left for ${quoted(path)}`,
    expected: "room for the whole file",
    next: "Free some space or write to another disk; nothing was left behind.",
    cause,
  });

export const fileUnwritable = (path: string, cause: unknown) =>
  new ClavisError("sink.write", {
    found: `the system could not write ${quoted(path)} (${messageOf(cause)})`,
    expected: "a writable path",
    next: "Check the path and the disk; nothing was left behind.",
    cause,
  });

/** A metadata value for a message: text quoted and shortened, arrays by their length. */
function shown(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "object" && value !== null) return "an array";
  return String(value);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
