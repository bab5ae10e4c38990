import { urlUnusable } from "./bytes/errors.ts";
import { type Gguf, openGguf } from "./bytes/gguf.ts";
import { openModelUrls } from "./bytes/http-source.ts";
import { type ByteSource, blobSource, bufferSource } from "./bytes/source.ts";
import type { Device, DeviceDescription } from "./devices/device.ts";
import { reference } from "./devices/reference/device.ts";
import { wasmDevice } from "./devices/wasm/device.ts";
import { webPlatform } from "./devices/wasm/web-platform.ts";
import {
  type Explanation,
  explain as explainGguf,
  type Inspection,
  inspect as inspectGguf,
  type LoadOptions,
  Model,
} from "./model.ts";

// What a browser's bundler, or a page, imports as "clavis": the names of index.ts, without Node.

export type { ByteSource } from "./bytes/source.ts";
export type { TensorType } from "./bytes/types.ts";
export type { DeviceDescription, DeviceName } from "./devices/device.ts";
export { ClavisError } from "./errors.ts";
export type { DryOptions } from "./generate/dry.ts";
export type { TokenLogprob } from "./generate/logprobs.ts";
export type { SamplingOptions } from "./generate/options.ts";
export type { FinishReason, GenerateResult, GenerateStream, Piece, PieceLogprob } from "./generate/stream.ts";
export type { Divergence } from "./measure/divergence.ts";
export type { EvalOptions, Perplexity } from "./measure/perplexity.ts";
export {
  type Explanation,
  type GenerateOptions,
  type Inspection,
  type LoadOptions,
  Model,
  type ModelInfo,
} from "./model.ts";
export { architectures } from "./models/index.ts";
export type { KvType } from "./plan/plan.ts";
export type { Message } from "./tokens/chat.ts";
export type { DecodeOptions, EncodeOptions, Tokenizer } from "./tokens/tokenizer.ts";

/** What a model can be loaded from: an address (relative to the page, too), a file that was picked, or bytes. */
export type ModelSource = string | URL | Blob | ArrayBuffer | Uint8Array;

/** Quickest first: "auto" takes the first that can run. */
const devices: readonly Device[] = [wasmDevice(webPlatform()), reference];

/**
 * Loads a model and makes it ready to answer.
 *
 * An address is read by range requests where its server serves them. A split model
 * (`NAME-00001-of-0000N.gguf`) is found from the address of any of its parts.
 *
 * @throws ClavisError `source.*` for an address, `gguf.*` for a damaged file, `model.*` for an unsupported
 *   one, `tokens.*` for its vocabulary, `load.*` for options that do not fit
 */
export async function load(source: ModelSource, options?: LoadOptions): Promise<Model> {
  return Model.open(await open(source), devices, options);
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
  if (typeof source === "string" || source instanceof URL) return openModelUrls(address(source));
  return [source instanceof Blob ? blobSource(source) : bufferSource(source)];
}

function address(source: string | URL): URL {
  try {
    return new URL(source, globalThis.location?.href);
  } catch (error) {
    throw urlUnusable(String(source), error);
  }
}
