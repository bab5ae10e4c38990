import { openGguf } from "../bytes/gguf.ts";
import { blobSource } from "../bytes/source.ts";
import { filesAt } from "./addresses.ts";
import { modelsAmong, modelsToRemove } from "./cached-models.ts";
import { inUse, nothingToRemove, notLocal } from "./errors.ts";
import type { ListedModel, LocalModel, Removed } from "./options.ts";
import { quantOf } from "./quants.ts";
import { pathOf, WebPartial } from "./web-files.ts";
import { tryLock } from "./web-lock.ts";
import { parsePageName } from "./web-names.ts";
import { commitsOf, findStored, isOfUrl, type StoredFile, type WebRecord } from "./web-records.ts";
import { checkStored, type WebTools, wholeFile } from "./web-tools.ts";

/** Every model that this origin has stored. */
export async function list({ records, files }: WebTools): Promise<ListedModel[]> {
  const all = await records.all();
  const described = async (stored: readonly StoredFile[], known: Pick<ListedModel, "name" | "from">) => {
    const [{ id, path }] = stored;
    const header = await headerOf(stored).catch(() => undefined);
    return {
      ...known,
      path: pathOf(id),
      bytes: stored.reduce((sum, { size }) => sum + size, 0),
      quant: quantOf(path),
      ...header,
      usedAt: all.get(id)!.usedAt,
    };
  };
  const headerOf = async (stored: readonly StoredFile[]) => {
    const blobs = await Promise.all(stored.map(({ id }) => files.file(id)));
    const { metadata } = await openGguf(blobs.map((blob) => blobSource(blob!)));
    return {
      architecture: metadata.optionalString("general.architecture"),
      licence: metadata.optionalString("general.license"),
    };
  };
  const models: ListedModel[] = [];
  const repos = new Set([...all.values()].flatMap(({ hub }) => hub.map(({ repo }) => repo)));
  for (const repo of [...repos].sort()) {
    for (const model of modelsAmong(repo, commitsOf(all, repo))) {
      const from = { name: model.name, from: "hub", repo, commit: model.files[0].commit } as const;
      models.push(await described(model.files, from));
    }
  }
  for (const [id, { url, sha256, size }] of all) {
    // Of a split model, the first part stands for all.
    if (url === undefined || sha256 === undefined || /-(?!00001)\d{5}-of-\d{5}\.gguf/i.test(url.href))
      continue;
    const parts = findStored(all, { kind: "url", shown: url.href, url: new URL(url.href) })?.files;
    const from = { name: url.href, from: "url", url: url.href } as const;
    models.push(await described(parts ?? [{ id, size, path: url.href }], from));
  }
  return models;
}

/**
 * Removes a stored model, also one whose download was begun and not ended. Bytes that another commit or model
 * needs stay.
 *
 * @throws ClavisError `model.not_local`; `model.ambiguous`; `store.busy` while it is downloaded or loaded
 */
export async function remove(tools: WebTools, text: string, base: string | undefined): Promise<Removed> {
  const { records } = tools;
  const name = parsePageName(text, base);
  const all = await records.all();
  if (name.kind === "url") {
    const urls = filesAt(name.url).map(({ url }) => url);
    const ids = [...all].filter(([, record]) => urls.some((url) => isOfUrl(record, url))).map(([id]) => id);
    if (ids.length === 0) throw nothingToRemove(text);
    return { models: [text], freedBytes: await removeFiles(tools, text, new Map(ids.map((id) => [id, []]))) };
  }
  const models = modelsAmong(name.repo, commitsOf(all, name.repo));
  const chosen = modelsToRemove(models, name);
  /** Of each file, the places in repositories that stay. */
  const left = new Map<string, WebRecord["hub"]>();
  const gone = chosen.flatMap(({ everywhere }) => everywhere);
  for (const { id } of gone) {
    const stays = all
      .get(id)!
      .hub.filter(
        ({ repo, path, commit }) =>
          !(
            repo === name.repo &&
            gone.some((file) => file.id === id && file.path === path && file.commit === commit)
          ),
      );
    left.set(id, stays);
  }
  if (chosen.length === models.length) {
    for (const [id, { sha256, hub }] of all)
      if (sha256 === undefined && hub.some(({ repo }) => repo === name.repo)) left.set(id, []);
  }
  if (left.size === 0) throw nothingToRemove(text);
  return { models: chosen.map((model) => model.name), freedBytes: await removeFiles(tools, text, left) };
}

/** Removes files, and of those of which something stays only the names. Returns the bytes that are free now. */
async function removeFiles(
  { records, files }: WebTools,
  name: string,
  left: ReadonlyMap<string, WebRecord["hub"]>,
): Promise<number> {
  const locks: (() => void)[] = [];
  let freed = 0;
  try {
    for (const id of left.keys()) {
      const release = await tryLock(id, "exclusive");
      if (release === undefined) throw inUse(name);
      locks.push(release);
    }
    for (const [id, hub] of left) {
      const record = await records.get(id);
      if (record !== undefined && hub.length > 0) {
        await records.put(id, { ...record, hub });
        continue;
      }
      freed += (await files.file(id))?.size ?? 0;
      // First what makes it a model, so that half of this leaves no model without bytes.
      await records.remove(id);
      await new WebPartial(files, id).remove();
    }
  } finally {
    for (const release of locks) release();
  }
  return freed;
}

/**
 * Finds the files of a stored model by its name, without the network.
 *
 * @throws ClavisError `model.not_local` for a name that has to be pulled first; `store.digest`
 */
export async function resolve(tools: WebTools, text: string, base: string | undefined): Promise<LocalModel> {
  const { records, files } = tools;
  const all = await records.all();
  const found = findStored(all, parsePageName(text, base));
  if (found === undefined) throw notLocal(text);
  for (const stored of found.files) {
    const record = all.get(stored.id)!;
    const file = await wholeFile(files, stored.id, record);
    if (file === undefined) throw notLocal(text);
    await checkStored(tools, stored, record, file);
  }
  const first = found.files[0].id;
  await records.put(first, { ...(await records.get(first))!, usedAt: Date.now() }).catch(() => {});
  const paths = found.files.map(({ id }) => pathOf(id));
  return { name: text, path: paths[0], paths };
}
