import { readdir, realpath, rm, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { openGguf } from "../bytes/gguf.ts";
import { openModelFiles } from "../bytes/node-file.ts";
import { ambiguous, nothingToRemove } from "./errors.ts";
import { type CachedFile, cachedRepos, RepoCache } from "./hub-cache.ts";
import { takeLock } from "./lock.ts";
import { localPath, parseLocalName } from "./node-names.ts";
import type { StoreOptions } from "./options.ts";
import { chooseFiles, quantOf } from "./quants.ts";
import { type Store, storeOf } from "./store.ts";
import { isThere, readSource, urlFiles } from "./url-cache.ts";

/** A model on this machine. */
export interface ListedModel {
  /** A name that loads it. */
  readonly name: string;
  readonly from: "hub" | "url" | "package";
  /** Of its file, or of the first part of a split one. */
  readonly path: string;
  /** Bytes of all its files. */
  readonly bytes: number;
  /** Upper case, where the file's name tells it. */
  readonly quant?: string;
  /** As the file says; undefined where it cannot be read as a model. */
  readonly architecture?: string;
  readonly licence?: string;
  /** When Clavis last used it, in milliseconds since 1970; undefined where it never did. */
  readonly usedAt?: number;
  /** Of the hub: owner/name, and the commit that the file is from. */
  readonly repo?: string;
  readonly commit?: string;
  readonly url?: string;
}

export interface Removed {
  /** Names of the models that are gone. */
  readonly models: readonly string[];
  /** Bytes of disk; nothing for what another model or revision still needs. */
  readonly freedBytes: number;
}

/** A model of the cache with its files, in every commit that has it. */
interface CachedModel {
  readonly name: string;
  readonly repo: RepoCache;
  readonly path: string;
  readonly files: readonly CachedFile[];
  readonly everywhere: readonly CachedFile[];
}

/** Every model on this machine that has a name: downloaded by Clavis or by other tools, and the one of the package. */
export async function list(options: StoreOptions = {}): Promise<ListedModel[]> {
  const store = storeOf(options);
  const models: ListedModel[] = [];
  const stories = parseLocalName("stories");
  if (stories.kind === "builtIn")
    models.push(await described(store, localPath(stories), { name: "stories", from: "package" }));
  for (const repo of await cachedRepos(store.settings.hubFolder)) {
    for (const { name, files } of await cachedModels(repo)) {
      models.push(
        await described(store, files[0].link, {
          name,
          from: "hub",
          repo: repo.repo,
          commit: files[0].commit,
        }),
      );
    }
  }
  for (const { path, url } of await urlModels(store)) {
    models.push(await described(store, path, { name: url, from: "url", url }));
  }
  return models;
}

/**
 * Removes a downloaded model. Bytes that another revision or model links to stay.
 *
 * @throws ClavisError `model.not_local`; `model.ambiguous` for a repository of which several are there
 */
export async function remove(name: string, options: StoreOptions = {}): Promise<Removed> {
  const store = storeOf(options);
  const parsed = parseLocalName(name);
  if (parsed.kind === "url") {
    const there = [];
    for (const file of urlFiles(store.settings, parsed.url)) if (await isThere(file)) there.push(file);
    if (there.length === 0) throw nothingToRemove(name);
    let freedBytes = 0;
    for (const { path } of there) {
      freedBytes += (await stat(path)).size;
      await unlink(path);
    }
    await rm(dirname(there[0].path), { recursive: true, force: true });
    return { models: [name], freedBytes };
  }
  if (parsed.kind !== "hub") throw nothingToRemove(name);
  const repo = new RepoCache(store.settings.hubFolder, parsed.repo);
  const models = await cachedModels(repo);
  const open = parsed.file === undefined && parsed.quant === undefined;
  let chosen = models;
  if (models.length > 1 || !open) {
    const preferred = models.filter(({ path }) => quantOf(path) === parsed.preferred);
    if (open && parsed.preferred !== undefined && preferred.length === 1) chosen = preferred;
    else if (open)
      throw ambiguous(
        name,
        models.map((model) => model.name),
      );
    else {
      const firsts = models.flatMap(({ files }) => files);
      const wanted = firsts.length === 0 ? [] : chooseFiles(parsed.repo, firsts, parsed).files;
      chosen = models.filter(({ path }) => wanted[0]?.path === path);
    }
  }
  const freedPartials = chosen.length === models.length ? await removeIdlePartials(repo) : 0;
  if (chosen.length === 0 && freedPartials === 0) throw nothingToRemove(name);
  const freedBytes = await repo.remove(chosen.flatMap(({ everywhere }) => everywhere));
  return { models: chosen.map((model) => model.name), freedBytes: freedBytes + freedPartials };
}

/** Partial files that no living process is writing. */
async function removeIdlePartials(repo: RepoCache): Promise<number> {
  let freed = 0;
  for (const etag of await repo.partials()) {
    try {
      const lock = await takeLock(repo.lock(etag), {
        waiting() {
          throw new Error("busy");
        },
      });
      freed += await repo.removePartial(etag);
      await lock.release();
    } catch {
      // Somebody is downloading it now.
    }
  }
  return freed;
}

/** The models of a repository, each once, in the newest commit that has it whole. */
async function cachedModels(repo: RepoCache): Promise<CachedModel[]> {
  const dated = await Promise.all(
    (await repo.commits()).map(async (commit) => {
      const { mtimeMs } = await stat(join(repo.folder, "snapshots", commit));
      return { mtimeMs, files: await repo.files(commit) };
    }),
  );
  dated.sort((a, b) => b.mtimeMs - a.mtimeMs);
  const all = dated.flatMap(({ files }) => files);
  const models = new Map<string, CachedModel>();
  for (const { files } of dated) {
    for (const { path } of files) {
      const isModel = /\.gguf$/i.test(path) && !/-(?!00001)\d{5}-of-\d{5}\.gguf$/i.test(path);
      if (!isModel || models.has(path)) continue;
      const set = whole(repo.repo, files, path);
      if (set === undefined) continue;
      const paths = new Set(set.map((file) => file.path));
      models.set(path, {
        name: "",
        repo,
        path,
        files: set,
        everywhere: all.filter((file) => paths.has(file.path)),
      });
    }
  }
  const list = [...models.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  const quants = list.map(({ path }) => quantOf(path));
  return list.map((model, i) => {
    // The short form where it is the only one of its kind.
    const unique = quants[i] !== undefined && quants.filter((quant) => quant === quants[i]).length === 1;
    return { ...model, name: unique ? `${repo.repo}:${quants[i]}` : `hf.co/${repo.repo}/${model.path}` };
  });
}

function whole(repo: string, files: readonly CachedFile[], path: string): readonly CachedFile[] | undefined {
  try {
    return chooseFiles(repo, files, { file: path }).files;
  } catch {
    return undefined; // some parts are missing
  }
}

async function urlModels({ settings }: Store): Promise<{ path: string; url: string }[]> {
  const root = join(settings.ownFolder, "urls");
  const found: { path: string; url: string }[] = [];
  for (const folder of await readdir(root).catch(() => [])) {
    for (const file of await readdir(join(root, folder)).catch(() => [])) {
      if (!/\.source\.json$/.test(file) || /-(?!00001)\d{5}-of-\d{5}\.gguf\./i.test(file)) continue;
      const path = join(root, folder, file.replace(/\.source\.json$/, ""));
      const source = await readSource(path);
      if (source !== undefined && (await stat(path).catch(() => undefined)) !== undefined)
        found.push({ path, url: source.url });
    }
  }
  return found;
}

type Described = Pick<ListedModel, "name" | "from" | "repo" | "commit" | "url">;

async function described(store: Store, path: string, known: Described): Promise<ListedModel> {
  const usedAt = await store.records.usedAt(await realpath(path).catch(() => path));
  const header = await headerOf(path).catch(() => undefined);
  const bytes = header?.bytes ?? (await stat(path).catch(() => undefined))?.size ?? 0;
  const quant = quantOf(basename(path));
  return {
    ...known,
    path,
    bytes,
    quant,
    architecture: header?.architecture,
    licence: header?.licence,
    usedAt,
  };
}

async function headerOf(path: string) {
  const sources = await openModelFiles(path);
  try {
    const { metadata, bytes } = await openGguf(sources);
    return {
      bytes,
      architecture: metadata.optionalString("general.architecture"),
      licence: metadata.optionalString("general.license"),
    };
  } finally {
    await Promise.all(sources.map((source) => source.close()));
  }
}
