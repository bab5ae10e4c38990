import { readdir, realpath, rm, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { openGguf } from "../bytes/gguf.ts";
import { openModelFiles } from "../bytes/node-file.ts";
import { type CachedModel, modelsAmong, modelsToRemove } from "./cached-models.ts";
import { nothingToRemove } from "./errors.ts";
import { type CachedFile, cachedRepos, RepoCache } from "./hub-cache.ts";
import { takeLock } from "./lock.ts";
import { localPath, parseLocalName } from "./node-names.ts";
import type { ListedModel, Removed, StoreOptions } from "./options.ts";
import { quantOf } from "./quants.ts";
import { type Store, storeOf } from "./store.ts";
import { isThere, readSource, urlFiles } from "./url-cache.ts";

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
  const chosen = modelsToRemove(models, parsed);
  const freedPartials = chosen.length === models.length ? await removeIdlePartials(repo) : 0;
  if (chosen.length === 0 && freedPartials === 0) throw nothingToRemove(name);
  const files = chosen.flatMap(({ everywhere }) => everywhere);
  const freedBytes = await repo.remove([...files, ...(await orphans(repo, files))]);
  return { models: chosen.map((model) => model.name), freedBytes: freedBytes + freedPartials };
}

/** Signatures that nothing in a snapshot needs once these files are gone from it. */
async function orphans(repo: RepoCache, files: readonly CachedFile[]): Promise<CachedFile[]> {
  const gone = new Set(files.map(({ link }) => link));
  const found: CachedFile[] = [];
  for (const commit of new Set(files.map((file) => file.commit))) {
    const rest = (await repo.files(commit)).filter(({ link }) => !gone.has(link));
    const isLast = rest.every(({ path }) => /\.sig$/.test(path));
    found.push(...rest.filter(({ link }) => /\.sig$/.test(link) && (isLast || gone.has(link.slice(0, -4)))));
  }
  return found;
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
async function cachedModels(repo: RepoCache): Promise<CachedModel<CachedFile>[]> {
  const dated = await Promise.all(
    (await repo.commits()).map(async (commit) => {
      const { mtimeMs } = await stat(join(repo.folder, "snapshots", commit));
      return { mtimeMs, files: await repo.files(commit) };
    }),
  );
  dated.sort((a, b) => b.mtimeMs - a.mtimeMs);
  return modelsAmong(
    repo.repo,
    dated.map(({ files }) => files),
  );
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
