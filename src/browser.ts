import { withGguf } from "./bytes/gguf.ts";
import { openModelUrls, openUrl } from "./bytes/http-source.ts";
import { type ByteSource, blobSource, bufferSource } from "./bytes/source.ts";
import type { Device, DeviceDescription } from "./devices/device.ts";
import { reference } from "./devices/reference/device.ts";
import { wasmDevice } from "./devices/wasm/device.ts";
import { webPlatform } from "./devices/wasm/web-platform.ts";
import { ClavisError } from "./errors.ts";
import {
  type Explanation,
  explain as explainGguf,
  type Inspection,
  inspect as inspectGguf,
  Model,
  type LoadOptions as ModelOptions,
} from "./model.ts";
import type { HubOptions, InspectOptions, PullEvent, StoreOptions } from "./store/options.ts";
import { parsePageName } from "./store/web-names.ts";
import { hubAddresses, openStored, pageAddress, pull, resolve } from "./store/web-store.ts";

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
  Model,
  type ModelInfo,
} from "./model.ts";
export { architectures } from "./models/index.ts";
export type { KvType } from "./plan/plan.ts";
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
export type { ModelOrigin } from "./store/origin.ts";
export { list, originOf, pull, remove, resolve } from "./store/web-store.ts";
export type { Message } from "./tokens/chat.ts";
export type { DecodeOptions, EncodeOptions, Tokenizer } from "./tokens/tokenizer.ts";

/**
 * What a model can be loaded from: a name ("qwen3:0.6b", "owner/repo:Q4_K_M"), an address (relative to the page,
 * too), a file that was picked, or bytes.
 */
export type ModelSource = string | URL | Blob | ArrayBuffer | Uint8Array;

/** How a model is loaded. Whatever is left out has the default. */
export interface LoadOptions extends ModelOptions, HubOptions {
  /** Download a model that is not stored for this origin, and store it. Default false. */
  readonly pull?: boolean;
  /** Told how a download goes, and how far a digest is computed. */
  readonly onPull?: (event: PullEvent) => void;
  /** Compute the digest of a stored file again, even if that was done before. */
  readonly verify?: boolean;
}

/** Quickest first: "auto" takes the first that can run. */
const devices: readonly Device[] = [wasmDevice(webPlatform()), reference];

/**
 * Loads a model and makes it ready to answer.
 *
 * A stored model is read from the origin's file system. Others are stored first with the option `pull`; without it
 * an address is read where it is, by range requests where its server serves them. A split model
 * (`NAME-00001-of-0000N.gguf`) is found from any of its parts.
 *
 * @throws ClavisError `model.not_local` for a name that has to be pulled first, `net.*`, `pull.*` and `store.*`
 *   with the option `pull`, `source.*` for an address, `gguf.*` for a damaged file, `model.*` for an unsupported
 *   one, `tokens.*` for its vocabulary, `load.*` for options that do not fit
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  return Model.open(await open(source, options), devices, options);
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

async function open(source: ModelSource, options: LoadOptions & InspectOptions): Promise<ByteSource[]> {
  if (typeof source !== "string" && !(source instanceof URL))
    return [source instanceof Blob ? blobSource(source) : bufferSource(source)];
  const name = String(source);
  const { signal, verify, endpoint, token, persist, onPull: onEvent } = options;
  const storing: StoreOptions = { signal, verify, endpoint, token, persist, onEvent };
  try {
    return await openStored(await resolve(name, storing));
  } catch (error) {
    const { code } = error as { code?: string };
    if (!(error instanceof ClavisError) || !/^(model\.not_local|store\.unavailable)$/.test(code!))
      throw error;
    const canStore = code === "model.not_local";
    const parsed = parsePageName(name, pageAddress());
    // What is not on a server (blob:, data:) is here already.
    const onServer = parsed.kind === "hub" || /^https?:$/.test(parsed.url.protocol);
    if (options.pull && onServer) {
      if (canStore) {
        await pull(name, storing);
        return openStored(await resolve(name, { ...storing, verify: false }));
      }
      onEvent?.({ type: "notStored", error });
    }
    if (parsed.kind === "url") return openModelUrls(parsed.url);
    if (!options.remote && !options.pull && !/^https?:/i.test(name)) throw error;
    return Promise.all((await hubAddresses(parsed, storing)).map(openUrl));
  }
}
