import type { ByteSource } from "../bytes/source.ts";
import { checkRange, fillFromBlocks } from "../bytes/source.ts";
import { ClavisError } from "../errors.ts";
import { describeUrl, filesAt } from "./addresses.ts";
import { retryTeller } from "./carry-out.ts";
import { type Client, refusal, within } from "./client.ts";
import { brokenOff, changed, noRanges, offline } from "./errors.ts";
import { listFiles, locateFile } from "./hub.ts";
import type { HubName, UrlName } from "./names.ts";
import { parseLocalName } from "./node-names.ts";
import type { StoreOptions } from "./options.ts";
import { chooseFiles } from "./quants.ts";
import { Passing, withRetries } from "./retry.ts";
import { type Store, storeOf } from "./store.ts";

/** What one request asks for, and how many answers are kept. A header is read from front to back. */
const blockBytes = 2 ** 20;
const keptBlocks = 4;

/**
 * Opens the files of a model on the hub or at an address for reading in place: what is read comes by ranges,
 * and nothing is kept on disk. Meant for headers.
 *
 * @throws ClavisError `model.*`, `net.*`; reads throw these too
 */
export async function openRemote(name: string, options: StoreOptions = {}): Promise<ByteSource[]> {
  const store = storeOf(options);
  const parsed = parseLocalName(name);
  if (store.settings.offline) throw offline(name);
  try {
    if (parsed.kind === "hub") return await hubSources(store, parsed);
    if (parsed.kind === "url") return await urlSources(store, parsed);
    throw new TypeError(`${parsed.kind} names are files already`);
  } catch (error) {
    await store.network.close();
    throw error;
  }
}

async function hubSources(store: Store, name: HubName): Promise<ByteSource[]> {
  const { network, settings, signal, patience } = store;
  const retried = <T>(attempt: () => Promise<T>) =>
    withRetries(patience, signal, attempt, retryTeller(store, name.shown));
  const { files, quant, chosen } = chooseFiles(
    name.repo,
    await retried(() => listFiles(network, settings, name, signal)),
    name,
  );
  const paths = files.map(({ path }) => path);
  if (chosen) store.tell({ type: "chosen", repo: name.repo, quant, files: paths });
  return Promise.all(
    paths.map(async (path) => {
      const found = await retried(() => locateFile(network, settings, name, path, signal));
      return remoteSource(store, `${name.repo}/${path}`, found.location, found.size);
    }),
  );
}

async function urlSources(store: Store, name: UrlName): Promise<ByteSource[]> {
  const { network, settings, signal, patience } = store;
  return Promise.all(
    filesAt(name.url).map(async ({ url }) => {
      const { size } = await withRetries(
        patience,
        signal,
        () => describeUrl(network, settings, url, signal),
        retryTeller(store, name.shown),
      );
      return remoteSource(store, url.href, url, size);
    }),
  );
}

function remoteSource(store: Store, name: string, url: URL, size: number): ByteSource {
  const { settings, patience, signal } = store;
  const network: Client = store.network;
  const blocks = new Map<number, Promise<Uint8Array>>();

  async function fetchBlock(index: number): Promise<Uint8Array> {
    const start = index * blockBytes;
    const end = Math.min(size, start + blockBytes);
    const headers = { range: `bytes=${start}-${end - 1}` };
    const answer = await network.request(url, { headers, signal: within(4 * patience.stallMs, signal) });
    try {
      if (answer.status === 200 && (start > 0 || end < size)) throw noRanges(url.host);
      if (answer.status !== 206 && answer.status !== 200) throw refusal(answer, name, settings);
      const bytes = new Uint8Array(end - start);
      let done = 0;
      for await (const piece of answer.body as AsyncIterable<Uint8Array>) {
        if (done + piece.length > bytes.length) throw changed(name);
        bytes.set(piece, done);
        done += piece.length;
      }
      if (done < bytes.length) throw new Passing(brokenOff(url.host, done, bytes.length));
      return bytes;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof ClavisError || error instanceof Passing) throw error;
      throw new Passing(brokenOff(url.host, start, size, error));
    } finally {
      answer.discard();
    }
  }

  function blockOf(index: number): Promise<Uint8Array> {
    let block = blocks.get(index);
    if (block === undefined) {
      block = withRetries(patience, signal, () => fetchBlock(index));
      block.catch(() => blocks.delete(index));
      blocks.set(index, block);
      if (blocks.size > keptBlocks) blocks.delete(blocks.keys().next().value!);
    }
    return block;
  }

  return {
    name,
    size,
    async readInto(offset, target) {
      checkRange(this, offset, target.byteLength);
      await fillFromBlocks(offset, target, blockBytes, blockOf);
    },
    async close() {
      blocks.clear();
      await network.close();
    },
  };
}
