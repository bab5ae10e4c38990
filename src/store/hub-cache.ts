import { randomBytes } from "node:crypto";
import {
  copyFile,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  unlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { cannotWrite } from "./errors.ts";
import { makeFolder } from "./folders.ts";
import { isSafePath } from "./names.ts";
import type { Listed } from "./quants.ts";

// The cache that Hugging Face's tools share, one folder per repository:
//   models--owner--name/refs/main                 the commit that the branch had
//   models--owner--name/snapshots/COMMIT/FILE     a link to ../../blobs/ETAG
//   models--owner--name/blobs/ETAG                the bytes; the name of a large one is its sha256
// Source: huggingface_hub, docs "Understand caching".

/** A file of a repository that is on disk. */
export interface CachedFile extends Listed {
  /** The link in the snapshot. */
  readonly link: string;
  /** Where the bytes are. */
  readonly blob: string;
  readonly commit: string;
}

/** The cache's folder of one repository. */
export class RepoCache {
  readonly repo: string;
  readonly folder: string;
  readonly #hubFolder: string;

  constructor(hubFolder: string, repo: string) {
    this.repo = repo;
    this.#hubFolder = hubFolder;
    this.folder = join(hubFolder, folderName(repo));
  }

  get blobs(): string {
    return join(this.folder, "blobs");
  }

  blob(etag: string): string {
    return join(this.blobs, etag);
  }

  /**
   * Where a download is written to. Other tools append to ETAG.incomplete from its length on, which would
   * make a hole of ours part of their file; so ours has another name, with the same ending.
   */
  partial(etag: string): string {
    return join(this.blobs, `${etag}.clavis.incomplete`);
  }

  lock(etag: string): string {
    return join(this.#hubFolder, ".locks", folderName(this.repo), `${etag}.clavis.lock`);
  }

  /** The commit of a revision as it was last downloaded. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (/^[0-9a-f]{40}$/.test(revision)) return revision;
    const text = await readFile(join(this.folder, "refs", revision), "utf8").catch(() => "");
    return /^[0-9a-f]{40}$/.test(text.trim()) ? text.trim() : undefined;
  }

  /** The files of a commit that are there, whole. */
  async files(commit: string): Promise<CachedFile[]> {
    const snapshot = join(this.folder, "snapshots", commit);
    const files: CachedFile[] = [];
    const entries = await readdir(snapshot, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const link = join(entry.parentPath, entry.name);
      const path = relative(snapshot, link).split(sep).join("/");
      // A link to nothing is left where a blob was removed by hand.
      const found = await stat(link).catch(() => undefined);
      if (found?.isFile() !== true || !isSafePath(path)) continue;
      files.push({ path, size: found.size, link, blob: await realpath(link), commit });
    }
    return files.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** The commits of which something is there. */
  async commits(): Promise<string[]> {
    const names = await readdir(join(this.folder, "snapshots")).catch(() => []);
    return names.filter((name) => /^[0-9a-f]{40}$/.test(name));
  }

  /** Makes a whole blob appear as a file of a commit, and the commit as that of the revision. */
  async link(etag: string, commit: string, path: string, revision: string): Promise<string> {
    const link = join(this.folder, "snapshots", commit, ...path.split("/"));
    const blob = this.blob(etag);
    try {
      await makeFolder(dirname(link));
      const target = relative(dirname(link), blob);
      if ((await readlink(link).catch(() => undefined)) !== target) await placeLink(target, link, blob);
      if (revision !== commit) await this.#writeRef(revision, commit);
    } catch (error) {
      throw cannotWrite(link, error);
    }
    return link;
  }

  async #writeRef(revision: string, commit: string): Promise<void> {
    const ref = join(this.folder, "refs", ...revision.split("/"));
    if ((await readFile(ref, "utf8").catch(() => "")) === commit) return;
    await makeFolder(dirname(ref));
    const temporary = `${ref}.${randomBytes(6).toString("hex")}.incomplete`;
    await replace(temporary, ref, () => writeFile(temporary, commit));
  }

  /**
   * Removes files of snapshots, then the blobs that no snapshot links to any more, and folders left empty.
   *
   * @returns bytes freed
   */
  async remove(files: readonly CachedFile[]): Promise<number> {
    for (const { link } of files) await unlink(link);
    const needed = new Set<string>();
    for (const commit of await this.commits()) {
      for (const file of await this.files(commit)) needed.add(file.blob);
    }
    let freed = 0;
    const blobs = await realpath(join(this.folder, "blobs")).catch(() => undefined);
    for (const { blob, size } of uniqueBlobs(files)) {
      // Where the cache holds copies in place of links, the file itself was the blob.
      if (dirname(blob) !== blobs)
        freed += (await stat(blob).catch(() => undefined)) === undefined ? size : 0;
      else if (!needed.has(blob)) {
        freed += size;
        await unlink(blob).catch(() => {});
        for (const rest of [`${blob}.clavis.incomplete`, `${blob}.clavis.incomplete.json`])
          await unlink(rest).catch(() => {});
      }
    }
    await this.#tidy(new Set(files.map(({ commit }) => commit)));
    return freed;
  }

  /** The etags of which a download was begun and not ended. */
  async partials(): Promise<string[]> {
    const names = await readdir(join(this.folder, "blobs")).catch(() => []);
    const etags = names.map((name) => /^([0-9a-f]+)\.clavis\.incomplete(\.json(\.new)?)?$/.exec(name)?.[1]);
    return [...new Set(etags.filter((etag) => etag !== undefined))];
  }

  /** Removes what an earlier download left unfinished, and returns the bytes of disk that it took. */
  async removePartial(etag: string): Promise<number> {
    const partial = this.partial(etag);
    const found = await stat(partial).catch(() => undefined);
    for (const path of [partial, `${partial}.json`, `${partial}.json.new`])
      await unlink(path).catch(() => {});
    // A partial file has holes, which take nothing.
    return found === undefined ? 0 : Math.min(found.size, found.blocks * 512);
  }

  async #tidy(commits: ReadonlySet<string>): Promise<void> {
    for (const commit of commits) {
      const snapshot = join(this.folder, "snapshots", commit);
      await removeEmptyFolders(snapshot);
      if ((await stat(snapshot).catch(() => undefined)) === undefined) await this.#removeRefsTo(commit);
    }
    const rest = await readdir(this.folder, { recursive: true, withFileTypes: true }).catch(() => []);
    if (rest.every((entry) => entry.isDirectory())) await rm(this.folder, { recursive: true, force: true });
  }

  async #removeRefsTo(commit: string): Promise<void> {
    const refs = join(this.folder, "refs");
    const entries = await readdir(refs, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && (await readFile(path, "utf8")).trim() === commit) await unlink(path);
    }
  }
}

/** The repositories of which something is in the cache. */
export async function cachedRepos(hubFolder: string): Promise<RepoCache[]> {
  const names = await readdir(hubFolder).catch(() => []);
  return names
    .map((name) => /^models--(.+?)--(.+)$/.exec(name))
    .filter((match) => match !== null)
    .map(([, owner, name]) => new RepoCache(hubFolder, `${owner}/${name}`))
    .sort((a, b) => (a.repo < b.repo ? -1 : 1));
}

const folderName = (repo: string) => `models--${repo.replace("/", "--")}`;

const uniqueBlobs = (files: readonly CachedFile[]) =>
  new Map(files.map((file) => [file.blob, file])).values();

/** Replaces what is at `link` in one step. Where links are not allowed (Windows), a copy takes its place. */
async function placeLink(target: string, link: string, blob: string): Promise<void> {
  // Without the file's own name, which may be as long as names can be.
  const temporary = join(dirname(link), `.${randomBytes(9).toString("hex")}`);
  await replace(temporary, link, async () => {
    try {
      await symlink(target, temporary, "file");
    } catch (error) {
      if (!/EPERM|ENOSYS|ENOTSUP|EOPNOTSUPP/.test((error as NodeJS.ErrnoException).code ?? "")) throw error;
      await copyFile(blob, temporary);
    }
  });
}

/** Makes a file under another name and moves it to its own; what a full disk leaves of it is removed. */
async function replace(temporary: string, path: string, make: () => Promise<void>): Promise<void> {
  try {
    await make();
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
}

async function removeEmptyFolders(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    if (entry.isDirectory()) await removeEmptyFolders(join(folder, entry.name));
  }
  await rmdir(folder).catch(() => {});
}
