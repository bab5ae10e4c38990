import { partNames } from "../bytes/parts.ts";
import { noGgufFiles, noSuchFile, noSuchQuant, partsMissing } from "./errors.ts";
import { isSafePath } from "./names.ts";

/** A file in a repository, or on disk. */
export interface Listed {
  /** With slashes, relative to the repository. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** A model among the files of a repository: one file, or the parts of a split one in order. */
export interface Choice<File extends Listed> {
  readonly files: readonly File[];
  /** Upper case; undefined where the name does not tell. */
  readonly quant?: string;
  /** Whether a name had to be chosen because none was given. */
  readonly chosen: boolean;
}

/** What is taken first where nothing is named: small with little loss, then what is nearest to that. */
const ranking = [
  ["Q4_K_M", "Q4_0", "Q4_K_S", "Q4_K_L", "Q4_K_XL", "Q4_K", "Q4", "Q5_K_M", "Q5_K_S", "Q5_0", "Q6_K", "Q8_0"],
  ["Q4_1", "Q5_1", "IQ4_XS", "IQ4_NL", "MXFP4", "Q3_K_L", "Q3_K_M", "BF16", "F16", "FP16", "F32"],
].flat();

const quantPattern =
  /(?:^|[-._])((?:UD-)?I?Q\d(?:_[01]|_K(?:_(?:XXL|XL|L|M|S|XS))?|_(?:XXS|XS|NL|S|M))?|TQ[12]_0|MXFP4|BF16|FP?16|F32)(?=[-._]|$)/gi;

/** The quantisation that a file's name tells, in upper case: `qwen3-0.6b-q4_k_m.gguf` → `Q4_K_M`. */
export function quantOf(path: string): string | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1).replace(/(-\d{5}-of-\d{5})?\.gguf$/i, "");
  const found = [...name.matchAll(quantPattern)].map((match) => match[1].toUpperCase());
  return found[found.length - 1]?.replace(/^UD-/, "");
}

/**
 * The model that is meant among the files of a repository.
 *
 * @throws ClavisError `model.no_file`, `model.no_quant`, `model.parts_missing` for a split one that is not whole
 */
export function chooseFiles<File extends Listed>(
  repo: string,
  files: readonly File[],
  wanted: { readonly file?: string; readonly quant?: string; readonly preferred?: string },
): Choice<File> {
  const usable = files.filter(({ path }) => isSafePath(path) && /\.gguf$/i.test(path));
  if (wanted.file !== undefined) {
    const set = partSet(repo, usable, wanted.file);
    return { files: set, quant: quantOf(wanted.file), chosen: false };
  }
  // One entry per model: a split one by its first part. Projectors for images and the like are no models.
  const heads = usable.filter(
    ({ path }) =>
      !/(^|\/)(mmproj|imatrix|ggml-vocab)[^/]*$/i.test(path) &&
      !/-(?!00001)\d{5}-of-\d{5}\.gguf$/i.test(path),
  );
  if (heads.length === 0) throw noGgufFiles(repo);
  const byQuant = new Map<string, File[]>();
  for (const head of heads) {
    const quant = quantOf(head.path) ?? "";
    byQuant.set(quant, [...(byQuant.get(quant) ?? []), head]);
  }
  const pick = (quant: string, chosen: boolean): Choice<File> => {
    // The plainest name among several of one kind: nearest to the top, then shortest.
    const [best] = byQuant
      .get(quant)!
      .toSorted((a, b) => plainness(a) - plainness(b) || (a.path < b.path ? -1 : 1));
    return { files: partSet(repo, usable, best.path), quant: quant || undefined, chosen };
  };
  if (wanted.quant !== undefined) {
    const quant = wanted.quant.toUpperCase().replace(/^UD-/, "");
    if (!byQuant.has(quant))
      throw noSuchQuant(repo, wanted.quant, [...byQuant.keys()].filter(Boolean).sort());
    return pick(quant, false);
  }
  if (wanted.preferred !== undefined && byQuant.has(wanted.preferred)) return pick(wanted.preferred, false);
  const quant = ranking.find((one) => byQuant.has(one)) ?? byQuant.keys().next().value!;
  return pick(quant, byQuant.size > 1 || heads.length > 1);
}

const plainness = ({ path }: Listed) => path.split("/").length * 1000 + path.length;

/** All parts of the file at `path`, which may be the only one. */
function partSet<File extends Listed>(repo: string, files: readonly File[], path: string): File[] {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const names = partNames(path.slice(folder.length)).map((name) => folder + name);
  const byPath = new Map(files.map((file) => [file.path, file]));
  const missing = names.filter((name) => !byPath.has(name));
  if (missing.includes(path))
    throw noSuchFile(
      repo,
      path,
      files.map((file) => file.path),
    );
  if (missing.length > 0) throw partsMissing(repo, missing);
  return names.map((name) => byPath.get(name)!);
}
