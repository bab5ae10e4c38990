import type { ByteSource } from "../bytes/source.ts";
import { blobSource } from "../bytes/source.ts";
import { ClavisError } from "../errors.ts";
import { retryTeller } from "./carry-out.ts";
import { endpointOf } from "./client.ts";
import { inUse, notLocal, noWorker } from "./errors.ts";
import { commitOf, followFile, listFiles } from "./hub.ts";
import type { HubName } from "./names.ts";
import type { ListedModel, LocalModel, Pulled, Removed, StoreOptions } from "./options.ts";
import type { ModelOrigin } from "./origin.ts";
import { chooseFiles } from "./quants.ts";
import { defaultPatience, withRetries } from "./retry.ts";
import { WebClient } from "./web-client.ts";
import { openFolder, pathOf, WebFiles } from "./web-files.ts";
import { tryLock } from "./web-lock.ts";
import { type Action, errorOf, eventOf, type FromWorker, type ToWorker } from "./web-messages.ts";
import { parsePageName } from "./web-names.ts";
import { findStored, type WebRecord, WebRecords } from "./web-records.ts";
import type { PlainOptions } from "./web-tools.ts";

// The page's side of its store: what has to be done here is looking and reading; the rest is the worker's.

/** They lie beside the bundle dist/browser/clavis.js, in the form that bundlers recognise. */
const scriptUrl = () => new URL("./clavis-store.js", import.meta.url);
const sha256Url = () => new URL("./clavis-sha256.wasm", import.meta.url);

/** A worker that was told to stop saves how far it came; it gets this long for that. */
const stopMs = 3000;

/**
 * Downloads a model by its name or address into the origin's file system (OPFS), unless it is there and
 * current. What a failure or a closed tab leaves unfinished goes on at the next pull.
 *
 * @throws ClavisError `model.*`, `net.*`, `pull.*`, `store.*`; the signal's reason once it is aborted
 */
export async function pull(name: string, options: StoreOptions = {}): Promise<Pulled> {
  parsePageName(name, pageAddress());
  await openFolder(true);
  if (options.persist) {
    const { storage } = navigator;
    // Only a window can ask; in a worker the answer is what a window got.
    const granted = await (storage.persist?.() ?? storage.persisted?.() ?? false);
    options.onEvent?.({ type: "persistence", granted });
  }
  return (await call("pull", name, options)) as Pulled;
}

/** Every model that this origin has stored. */
export async function list(options: StoreOptions = {}): Promise<ListedModel[]> {
  if ((await openFolder(false)) === undefined) return [];
  return (await call("list", "", options)) as ListedModel[];
}

/**
 * Removes a stored model, also one whose download was begun and not ended.
 *
 * @throws ClavisError `model.not_local`; `model.ambiguous`; `store.busy` while it is downloaded or loaded
 */
export async function remove(name: string, options: StoreOptions = {}): Promise<Removed> {
  parsePageName(name, pageAddress());
  await openFolder(true);
  return (await call("remove", name, options)) as Removed;
}

/**
 * Finds a stored model by its name, without the network. `paths` are those in the origin's file system.
 *
 * @throws ClavisError `model.not_local` for a name that has to be pulled first; `store.digest`
 */
export async function resolve(name: string, options: StoreOptions = {}): Promise<LocalModel> {
  // Most addresses that are loaded were never pulled; a worker is not worth starting for those.
  if (findStored(await storedRecords(), parsePageName(name, pageAddress())) === undefined)
    throw notLocal(name);
  return (await call("resolve", name, options)) as LocalModel;
}

/**
 * Where the model of a name is from, without the network.
 *
 * @throws ClavisError `model.not_found`, `model.name`; `store.unavailable`
 */
export async function originOf(name: string): Promise<ModelOrigin> {
  const parsed = parsePageName(name, pageAddress());
  const records = await storedRecords();
  const first = findStored(records, parsed)?.files[0];
  const stored = first && { path: pathOf(first.id), usedAt: records.get(first.id)!.usedAt };
  return parsed.kind === "hub"
    ? { from: "hub", repo: parsed.repo, commit: first?.commit, ...stored }
    : { from: "url", url: parsed.url.href, ...stored };
}

async function storedRecords(): Promise<Map<string, WebRecord>> {
  const folder = await openFolder(false);
  return folder === undefined ? new Map() : new WebRecords(new WebFiles(folder)).all();
}

/**
 * Opens the files of a stored model for reading. While they are open they are not removed.
 *
 * @throws ClavisError `store.busy` while they are downloaded anew; `model.not_local`
 */
export async function openStored({ name, paths }: LocalModel): Promise<ByteSource[]> {
  const folder = await openFolder(false);
  if (folder === undefined) throw notLocal(name);
  const files = new WebFiles(folder);
  const sources: ByteSource[] = [];
  try {
    for (const path of paths) {
      const id = path.slice(pathOf("").length);
      const release = await tryLock(id, "shared");
      if (release === undefined) throw inUse(name);
      const file = await files.file(id);
      const source = blobSource(file ?? new Blob(), name);
      sources.push({
        ...source,
        async close() {
          await source.close();
          release();
        },
      });
      if (file === undefined) throw notLocal(name);
    }
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
  return sources;
}

/**
 * The addresses of a model's files on the hub, for reading them where they are.
 *
 * @throws ClavisError `model.*`, `net.*`
 */
export async function hubAddresses(name: HubName, options: StoreOptions): Promise<URL[]> {
  const hub = {
    endpoint: endpointOf(String(options.endpoint ?? "https://huggingface.co")),
    token: options.token,
  };
  const client = new WebClient(hub);
  const { signal, patience = defaultPatience } = options;
  const told = retryTeller({ tell: (event) => options.onEvent?.(event) }, name.shown);
  const retried = <T>(attempt: () => Promise<T>) => withRetries(patience, signal, attempt, told);
  const commit = await retried(() => commitOf(client, hub, name, signal));
  const at = { repo: name.repo, revision: commit };
  const { files, quant, chosen } = chooseFiles(
    name.repo,
    await retried(() => listFiles(client, hub, at, signal)),
    name,
  );
  const paths = files.map(({ path }) => path);
  if (chosen) options.onEvent?.({ type: "chosen", repo: name.repo, quant, files: paths });
  return Promise.all(paths.map((path) => retried(() => followFile(client, hub, at, path, signal))));
}

/** The address that relative ones are relative to. */
export const pageAddress = () => globalThis.location?.href;

/** Has a worker of its own carry out an action. */
async function call(action: Action, name: string, options: StoreOptions): Promise<unknown> {
  const { signal, onEvent, endpoint, token, verify, patience, connections, partBytes } = options;
  signal?.throwIfAborted();
  const plain: PlainOptions = {
    ...{ token, verify, patience, connections, partBytes },
    endpoint: endpoint === undefined ? undefined : String(endpoint),
  };
  const { worker, url, sha256 } = await startWorker();
  let stop: (() => void) | undefined;
  try {
    return await new Promise((done, failed) => {
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        if ("event" in data) onEvent?.(eventOf(data.event));
        else if ("value" in data) done(data.value);
        else failed(signal?.aborted ? signal.reason : errorOf(data.error));
      };
      worker.onerror = (event) => failed(noWorker(event.message ?? "no reason was given"));
      stop = () => {
        worker.postMessage({ abort: true } satisfies ToWorker);
        setTimeout(() => failed(signal!.reason), stopMs);
      };
      if (signal?.aborted) failed(signal.reason);
      signal?.addEventListener("abort", stop, { once: true });
      worker.postMessage({ action, name, base: pageAddress(), options: plain, sha256 } satisfies ToWorker);
    });
  } finally {
    if (stop) signal?.removeEventListener("abort", stop);
    worker.terminate();
    URL.revokeObjectURL(url);
  }
}

/** The script is fetched and not named, so that it may come from another origin than the page. */
async function startWorker() {
  try {
    const [script, kernel] = await Promise.all([bytesOf(scriptUrl()), bytesOf(sha256Url())]);
    const sha256 = await WebAssembly.compile(kernel);
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    return { worker: new Worker(url), url, sha256 };
  } catch (error) {
    throw error instanceof ClavisError ? error : noWorker(String((error as Error).message), error);
  }
}

async function bytesOf(url: URL): Promise<ArrayBuffer> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
  return response.arrayBuffer();
}
