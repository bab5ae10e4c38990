import { isSafePath } from "./names.ts";
import type { Listed } from "./quants.ts";

/** A signature of 100,000 files takes about 20 MB; what is larger is none. */
const mostBytes = 32 * 2 ** 20;

/**
 * The signatures of a model among the files of its repository: `FILE.sig` for each of its files, and `model.sig` in
 * their folder or in the one above, where verifying looks for them. `model.sig` is the default of the tool of
 * OpenSSF Model Signing v1.0.
 *
 * @param files  of the repository, or of a snapshot
 * @param paths  of the model's files
 */
export function signaturesOf<File extends Listed>(files: readonly File[], paths: readonly string[]): File[] {
  const wanted = new Set(
    paths.flatMap((path) => {
      const folders = path.split("/").slice(0, -1);
      const above = [folders, folders.slice(0, -1)].map((parts) => [...parts, "model.sig"].join("/"));
      return [`${path}.sig`, ...above];
    }),
  );
  return files.filter(({ path, size }) => wanted.has(path) && size <= mostBytes && isSafePath(path));
}
