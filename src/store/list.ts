import { readdir, realpath, rmdir, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { openGguf } from "../bytes/gguf.ts";
import { openModelFiles } from "../bytes/node-file.ts";
import { type CachedModel, modelsAmong, modelsToRemove } from "./cached-models.ts";
import type { Lock } from "./carry-out.ts";
import { nothingToRemove } from "./errors.ts";
import { type CachedFile, cachedRepos, RepoCache } from "./hub-cache.ts";
import { takeLock } from "./lock.ts";
import { localPath, parseLocalName } from "./node-names.ts";
import type { ListedModel, Removed, StoreOptions } from "./options.ts";
import { quantOf } from "./quants.ts";
import { type Store, storeOf } from "./store.ts";
import { readSource, type UrlFile, urlFiles } from "./url-cache.ts";

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
    const freedBytes = await removeUrl(urlFiles(store.settings, parsed.url));
    if (freedBytes === undefined) throw nothingToRemove(name);
    await store.records.forgetGone();
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
  await store.records.forgetGone();
  return { models: chosen.map((model) => model.name), freedBytes: freedBytes + freedPartials };
}

/** Removes the files of an address, whole or begun, and returns the bytes of disk; nothing where there are none. */
async function removeUrl(files: readonly UrlFile[]): Promise<number | undefined> {
  let freed: number | undefined;
  for (const { path } of files) {
    const lock = await idleLock(`${path}.lock`);
    for (const one of [path, `${path}.incomplete`]) {
      const found = await stat(one).catch(() => undefined);
      // A file that is being downloaded is left to whoever does that.
      if (found === undefined || (lock === undefined && one !== path)) continue;
      // A partial file has holes, which take nothing.
      freed = (freed ?? 0) + (one === path ? found.size : Math.min(found.size, found.blocks * 512));
      await unlink(one);
    }
    for (const rest of [`${path}.source.json`, ...(lock ? [`${path}.incomplete.json`] : [])])
      await unlink(rest).catch(() => {});
    await lock?.release();
  }
  await rmdir(dirname(files[0].path)).catch(() => {});
  return freed;
}

/** A lock that nobody holds; nothing where somebody does. */
async function idleLock(path: string): Promise<Lock | undefined> {
  try {
    return await takeLock(path, {
      waiting() {
        throw new Error("busy");
      },
    });
  } catch {
    return undefined;
  }
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
    const lock = await idleLock(repo.lock(etag));
    if (lock === undefined) continue; // somebody is downloading it now
    freed += await repo.removePartial(etag);
    await lock.release();
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
