import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ClavisError } from "../errors.ts";
import { notLocal } from "./errors.ts";
import { type CachedFile, RepoCache } from "./hub-cache.ts";
import type { HubName, ModelName } from "./names.ts";
import { localPath, parseLocalName } from "./node-names.ts";
import type { LocalModel, StoreOptions } from "./options.ts";
import { chooseFiles } from "./quants.ts";
import { checkDigest, digestNamed } from "./records.ts";
import { type Store, storeOf } from "./store.ts";
import { isThere, readSource, urlFiles } from "./url-cache.ts";

/**
 * Finds the file of a model by its name, without the network: the one that comes with the package, a path, or
 * one that was downloaded, by Clavis or by another tool that uses the Hugging Face cache. What came from the
 * hub is compared with its digest the first time.
 *
 * @throws ClavisError `model.not_found`, `model.not_local` for a name that has to be pulled first, `model.name`,
 *         `model.no_quant`, `store.digest`
 */
export async function resolve(name: string, options: StoreOptions = {}): Promise<LocalModel> {
  const store = storeOf(options);
  const parsed = parseLocalName(name);
  const found = await findLocal(store, parsed);
  if (found === undefined) throw notLocal(name);
  await checkFiles(store, parsed, found);
  if (parsed.kind === "hub" || parsed.kind === "url") await store.records.rememberUse(found.blobs[0], name);
  return { name, path: found.paths[0], paths: found.paths };
}

export interface Found {
  readonly paths: readonly string[];
  /** Where the bytes of each path are. */
  readonly blobs: readonly string[];
  readonly quant?: string;
  /** Of the hub: what the files are from. */
  readonly commit?: string;
}

/** Nothing where the model has not been downloaded, or not all of it. */
export async function findLocal(store: Store, name: ModelName): Promise<Found | undefined> {
  if (name.kind === "builtIn" || name.kind === "path") {
    const path = localPath(name);
    return { paths: [path], blobs: [path] };
  }
  if (name.kind === "url") {
    const files = urlFiles(store.settings, name.url);
    if (!(await Promise.all(files.map(isThere))).every(Boolean)) return undefined;
    const paths = files.map(({ path }) => path);
    return { paths, blobs: paths };
  }
  const found = await findCached(store, name);
  return (
    found && {
      quant: found.quant,
      commit: found.files[0].commit,
      paths: found.files.map((file) => file.link),
      blobs: found.files.map((file) => file.blob),
    }
  );
}

/** The files of a model in the hub's cache: of the revision as it was last seen, else of another commit. */
async function findCached(
  { settings }: Store,
  name: HubName,
): Promise<{ files: readonly CachedFile[]; quant?: string } | undefined> {
  const cache = new RepoCache(settings.hubFolder, name.repo);
  const named = await cache.commitOf(name.revision);
  const commits = named === undefined ? [] : [named];
  // A branch moves on, and what was downloaded of it before stays usable.
  if (name.revision === "main") {
    const ages = await Promise.all(
      (await cache.commits()).map(async (commit) => {
        const { mtimeMs } = await stat(join(cache.folder, "snapshots", commit));
        return { commit, mtimeMs };
      }),
    );
    ages.sort((a, b) => b.mtimeMs - a.mtimeMs);
    commits.push(...ages.map(({ commit }) => commit).filter((commit) => commit !== named));
  }
  for (const commit of commits) {
    try {
      return chooseFiles(name.repo, await cache.files(commit), name);
    } catch (error) {
      if (!(error instanceof ClavisError)) throw error;
    }
  }
  return undefined;
}

/** The sha256 that a downloaded file had when it came; nothing for files of one's own. */
export async function expectedDigest(name: ModelName, blob: string): Promise<string | undefined> {
  if (name.kind === "hub") return digestNamed(blob);
  return name.kind === "url" ? (await readSource(blob))?.sha256 : undefined;
}

async function checkFiles(store: Store, name: ModelName, { blobs, paths }: Found): Promise<void> {
  for (const [i, blob] of blobs.entries()) {
    const expected = await expectedDigest(name, blob);
    if (expected === undefined) continue;
    await checkDigest(store.records, blob, expected, {
      again: store.verify,
      signal: store.signal,
      progress: (doneBytes, allBytes) =>
        store.tell({ type: "checking", file: paths[i], doneBytes, allBytes }),
    });
  }
}
