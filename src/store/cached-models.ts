import { ambiguous } from "./errors.ts";
import { type HubName, shortName } from "./names.ts";
import { chooseFiles, type Listed, quantOf } from "./quants.ts";

/** A model of a repository that is here, in the newest commit that has it whole. */
export interface CachedModel<File extends Listed> {
  /** A name that loads it: a well-known one, else a short form where it is the only one of its quantisation. */
  readonly name: string;
  /** Of its file, or of the first part of a split one. */
  readonly path: string;
  readonly files: readonly File[];
  /** Its files in every commit. */
  readonly everywhere: readonly File[];
}

/**
 * The models among the files of a repository that are here.
 *
 * @param commits  the files of each commit, newest first
 */
export function modelsAmong<File extends Listed>(
  repo: string,
  commits: readonly (readonly File[])[],
): CachedModel<File>[] {
  const all = commits.flat();
  const models = new Map<string, Omit<CachedModel<File>, "name">>();
  for (const files of commits) {
    for (const { path } of files) {
      const isModel = /\.gguf$/i.test(path) && !/-(?!00001)\d{5}-of-\d{5}\.gguf$/i.test(path);
      if (!isModel || models.has(path)) continue;
      const set = whole(repo, files, path);
      if (set === undefined) continue;
      const paths = new Set(set.map((file) => file.path));
      models.set(path, { path, files: set, everywhere: all.filter((file) => paths.has(file.path)) });
    }
  }
  const list = [...models.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  const quants = list.map(({ path }) => quantOf(path));
  return list.map((model, i) => {
    const quant = quants[i];
    if (quant === undefined || quants.filter((one) => one === quant).length > 1)
      return { ...model, name: `hf.co/${repo}/${model.path}` };
    return { ...model, name: shortName(repo, quant) ?? `${repo}:${quant}` };
  });
}

function whole<File extends Listed>(
  repo: string,
  files: readonly File[],
  path: string,
): readonly File[] | undefined {
  try {
    return chooseFiles(repo, files, { file: path }).files;
  } catch {
    return undefined; // some parts are missing
  }
}

/**
 * Which of a repository's models a name means, to remove them; none where it is not here.
 *
 * @throws ClavisError `model.ambiguous` for a repository of which several are here
 */
export function modelsToRemove<File extends Listed>(
  models: readonly CachedModel<File>[],
  { shown, repo, file, quant, preferred }: HubName,
): readonly CachedModel<File>[] {
  const open = file === undefined && quant === undefined;
  if (open && models.length <= 1) return models;
  if (open) {
    const known = models.filter(({ path }) => quantOf(path) === preferred);
    if (preferred !== undefined && known.length === 1) return known;
    throw ambiguous(
      shown,
      models.map(({ name }) => name),
    );
  }
  const firsts = models.flatMap(({ files }) => files);
  const wanted = firsts.length === 0 ? [] : chooseFiles(repo, firsts, { file, quant, preferred }).files;
  return models.filter(({ path }) => wanted[0]?.path === path);
}
