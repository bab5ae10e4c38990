import { type Gguf, openGguf } from "./bytes/gguf.ts";
import { openModelFiles } from "./bytes/node-file.ts";
import { type ByteSource, blobSource, bufferSource } from "./bytes/source.ts";
import type { Device, DeviceDescription } from "./devices/device.ts";
import { nativeDevice } from "./devices/native/device.ts";
import { reference } from "./devices/reference/device.ts";
import { wasmDevice } from "./devices/wasm/device.ts";
import { nodePlatform } from "./devices/wasm/node-platform.ts";
import {
  type Explanation,
  explain as explainGguf,
  type Inspection,
  inspect as inspectGguf,
  Model,
  type LoadOptions as ModelOptions,
} from "./model.ts";
import { type PermitOptions, permitted } from "./protect/node-permit.ts";
import { resolveModel } from "./store/names.ts";

export type { ByteSource } from "./bytes/source.ts";
export type { TensorType } from "./bytes/types.ts";
export type { DeviceDescription, DeviceName } from "./devices/device.ts";
export { ClavisError } from "./errors.ts";
export type { DryOptions } from "./generate/dry.ts";
export type { TokenLogprob } from "./generate/logprobs.ts";
export type { SamplingOptions } from "./generate/options.ts";
export type { FinishReason, GenerateResult, GenerateStream, Piece, PieceLogprob } from "./generate/stream.ts";
export {
  type Explanation,
  type GenerateOptions,
  type Inspection,
  Model,
  type ModelInfo,
} from "./model.ts";
export { architectures } from "./models/index.ts";
export type { KvType } from "./plan/plan.ts";
export { generateKeys, type KeyPair } from "./protect/node-keygen.ts";
export { type SignOptions, sign } from "./protect/node-sign.ts";
export { type Trust, type Verified, type VerifyOptions, verify } from "./protect/node-verify.ts";
export type { Message } from "./tokens/chat.ts";
export type { DecodeOptions, EncodeOptions, Tokenizer } from "./tokens/tokenizer.ts";

/** What a model can be loaded from: a name ("stories"), a path, a file: URL, or bytes. */
export type ModelSource = string | URL | Blob | ArrayBuffer | Uint8Array;

/** How a model is loaded. Whatever is left out has the default. */
export interface LoadOptions extends ModelOptions, PermitOptions {}

/** Quickest first: "auto" takes the first that can run. */
const devices: readonly Device[] = [nativeDevice(), wasmDevice(nodePlatform), reference];

/**
 * Loads a model and makes it ready to answer.
 *
 * A split model (`NAME-00001-of-0000N.gguf`) is found from any of its parts.
 *
 * @throws ClavisError `model.not_found`, `gguf.*` for a damaged file, `model.*` for an unsupported
 *   one, `tokens.*` for its vocabulary, `load.*` for options that do not fit, `protect.*` for what the
 *   policy forbids
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  return Model.open(await permitted(await open(source), options), devices, options);
}

/** What the file of a model says of it; its weights are not read. */
export function inspect(source: ModelSource): Promise<Inspection> {
  return withHeader(source, inspectGguf);
}

/** The plan that a model would run by, a line per kernel call; its weights are not read. */
export function explain(source: ModelSource, options?: LoadOptions): Promise<Explanation> {
  return withHeader(source, (gguf) => explainGguf(gguf, devices, options));
}

/** Every device, whether it can run here, and with which kernels; quickest first. */
export function describeDevices(): Promise<DeviceDescription[]> {
  return Promise.all(devices.map((device) => device.describe()));
}

async function withHeader<T>(source: ModelSource, use: (gguf: Gguf) => T | Promise<T>): Promise<T> {
  const sources = await open(source);
  try {
    return await use(await openGguf(sources));
  } finally {
    await Promise.all(sources.map((one) => one.close()));
  }
}

async function open(source: ModelSource): Promise<ByteSource[]> {
  if (typeof source === "string") return openModelFiles(resolveModel(source));
  if (source instanceof URL) return openModelFiles(resolveModel(decodeURIComponent(source.pathname)));
  return [source instanceof Blob ? blobSource(source) : bufferSource(source)];
}
