import { cpus } from "node:os";
import { withGguf } from "./bytes/gguf.ts";
import { type ByteSource, blobSource, bufferSource } from "./bytes/source.ts";
import type { Device, DeviceDescription, DeviceMeasurement, DeviceName } from "./devices/device.ts";
import { nativeDevice } from "./devices/native/device.ts";
import { usableCores } from "./devices/node-cores.ts";
import { reference } from "./devices/reference/device.ts";
import { wasmDevice } from "./devices/wasm/device.ts";
import { nodePlatform } from "./devices/wasm/node-platform.ts";
import { ClavisError } from "./errors.ts";
import {
  type Explanation,
  explain as explainGguf,
  type Inspection,
  inspect as inspectGguf,
  Model,
  type LoadOptions as ModelOptions,
} from "./model.ts";
import { type PermitOptions, permitted, requiresSignature } from "./protect/node-permit.ts";
import { openLocal } from "./store/open-local.ts";
import type { HubOptions, InspectOptions, PullEvent, StoreOptions } from "./store/options.ts";
import { pull } from "./store/pull.ts";
import { openRemote } from "./store/remote-source.ts";

export type { ByteSource } from "./bytes/source.ts";
export type { TensorType } from "./bytes/types.ts";
export type { DeviceDescription, DeviceMeasurement, DeviceName } from "./devices/device.ts";
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
  Model,
  type ModelInfo,
} from "./model.ts";
export { architectures } from "./models/index.ts";
export type { KvType } from "./plan/plan.ts";
export { generateKeys, type KeyPair } from "./protect/node-keygen.ts";
export { type SignOptions, sign } from "./protect/node-sign.ts";
export { type Trust, type Verified, type VerifyOptions, verify } from "./protect/node-verify.ts";
export { list, remove } from "./store/list.ts";
export type {
  CallOptions,
  HubOptions,
  InspectOptions,
  ListedModel,
  LocalModel,
  PullEvent,
  Pulled,
  Removed,
  StoreOptions,
} from "./store/options.ts";
export { type ModelOrigin, originOf } from "./store/origin.ts";
export { pull } from "./store/pull.ts";
export { resolve } from "./store/resolve.ts";
export type { Message } from "./tokens/chat.ts";
export type { DecodeOptions, EncodeOptions, Tokenizer } from "./tokens/tokenizer.ts";

/**
 * What a model can be loaded from: a name ("stories", "qwen3:0.6b", "owner/repo:Q4_K_M"), an address, a path, a
 * file: URL, or bytes.
 */
export type ModelSource = string | URL | Blob | ArrayBuffer | Uint8Array;

/** How a model is loaded. Whatever is left out has the default. */
export interface LoadOptions extends ModelOptions, PermitOptions, HubOptions {
  /** Download a model that is not on this machine. Default false: that is an error. */
  readonly pull?: boolean;
  /** Told how a download goes, and how far a digest is computed. */
  readonly onPull?: (event: PullEvent) => void;
  /**
   * Compare a downloaded file with the digest that it came with, even if that was done before, and what loading
   * reads with what was compared.
   */
  readonly verify?: boolean;
}

/** Quickest first: "auto" takes the first that can run. */
const native = nativeDevice();
const devices: readonly Device[] = [native, wasmDevice(nodePlatform), reference];

/**
 * Loads a model and makes it ready to answer.
 *
 * A split model (`NAME-00001-of-0000N.gguf`) is found from any of its parts.
 *
 * @throws ClavisError `model.not_found`, `model.not_local` for a name that has to be pulled first, `net.*` and
 *   `pull.*` with the option `pull`, `gguf.*` for a damaged file, `model.*` for an unsupported
 *   one, `tokens.*` for its vocabulary, `load.*` for options that do not fit, `protect.*` for what the
 *   policy forbids
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  return Model.open(await permitted(await open(source, options), options), devices, options);
}

/** What the file of a model says of it; its weights are not read. */
export async function inspect(source: ModelSource, options: InspectOptions = {}): Promise<Inspection> {
  return withGguf(await open(source, options), (gguf) => inspectGguf(gguf));
}

/** The plan that a model would run by, a line per kernel call; its weights are not read. */
export async function explain(source: ModelSource, options?: LoadOptions): Promise<Explanation> {
  return withGguf(await open(source, {}), (gguf) => explainGguf(gguf, devices, options));
}

/** Every device, whether it can run here, and with which kernels; quickest first. */
export function describeDevices(): Promise<DeviceDescription[]> {
  return Promise.all(devices.map((device) => device.describe()));
}

/** What this machine has to compute with, and what its devices make of it. */
export interface Machine {
  /** The processor's own name. */
  readonly processor: string;
  /**
   * Instruction sets that kernels make use of, beyond those that every processor of the family has, e.g.
   * "AVX512-VNNI"; undefined where the native kernels, which ask, were not compiled.
   */
  readonly features?: readonly string[];
  /** Logical processors, and cores they belong to, that this process may compute on. */
  readonly logicalCores: number;
  readonly physicalCores: number;
  /** Processors' worth of time that its control group may take; undefined for any. */
  readonly quota?: number;
  /** Measurements by device; devices that are not here or cannot be measured (wasm, reference) are missing. */
  readonly measured: Readonly<Partial<Record<DeviceName, DeviceMeasurement>>>;
}

/**
 * Measures how fast this machine reads memory and multiplies: some 0.3 s of all its cores. Other work on it
 * lowers the figures.
 */
export async function measureMachine(): Promise<Machine> {
  const measured: Partial<Record<DeviceName, DeviceMeasurement>> = {};
  for (const device of devices) {
    if (device.measure && (await device.describe()).available) measured[device.name] = await device.measure();
  }
  const { logical, physical, quota } = usableCores();
  const features = native.features();
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    ...(features && { features }),
    ...{ logicalCores: logical, physicalCores: physical },
    ...(quota !== undefined && { quota }),
    measured,
  };
}

async function open(
  source: ModelSource,
  options: Pick<LoadOptions, "pull" | "verify" | "policy"> & InspectOptions,
): Promise<ByteSource[]> {
  if (source instanceof Blob) return [blobSource(source)];
  if (typeof source !== "string" && !(source instanceof URL)) return [bufferSource(source)];
  const name = String(source);
  const { signal, verify, endpoint, token, onPull: onEvent } = options;
  const pulling: StoreOptions = { signal, endpoint, token, onEvent };
  try {
    return await openLocal(name, { ...pulling, verify });
  } catch (error) {
    const elsewhere = error instanceof ClavisError && error.code === "model.not_local";
    if (elsewhere && options.pull) {
      // Refused before the download rather than after it.
      await pull(name, { ...pulling, requireSignature: await requiresSignature(options) });
      return openLocal(name, { ...pulling, verify });
    }
    if (elsewhere && options.remote) return openRemote(name, pulling);
    throw error;
  }
}
