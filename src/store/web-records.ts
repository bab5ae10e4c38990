import { ClavisError } from "../errors.ts";
import { filesAt } from "./addresses.ts";
import type { HubName, UrlName } from "./names.ts";
import { chooseFiles, type Listed } from "./quants.ts";
import type { WebFiles } from "./web-files.ts";

/** Where a file is from: a path in a commit of a repository. */
export interface HubRef {
  readonly repo: string;
  /** By which the commit was found. */
  readonly revision: string;
  readonly commit: string;
  readonly path: string;
  /** Milliseconds since 1970. */
  readonly addedAt: number;
}

/** What a file in our folder is. */
export interface WebRecord {
  readonly size: number;
  /** Of its bytes; undefined until they are all there and checked, and it is a model's. */
  readonly sha256?: string;
  /** The file's time when its digest was checked. */
  readonly lastModified?: number;
  /** Milliseconds since 1970. */
  readonly usedAt?: number;
  readonly hub: readonly HubRef[];
  readonly url?: { readonly href: string; readonly version?: string };
}

/** A whole file of a model. */
export interface StoredFile extends Listed {
  readonly id: string;
  readonly commit?: string;
}

/** The records of all files, which are beside them in our folder. */
export class WebRecords {
  readonly #files: WebFiles;

  constructor(files: WebFiles) {
    this.#files = files;
  }

  async get(id: string): Promise<WebRecord | undefined> {
    const record = await this.#files.readValue(`${id}.record`);
    const { size, hub } = Object(record) as WebRecord;
    return Number.isSafeInteger(size) && Array.isArray(hub) ? (record as WebRecord) : undefined;
  }

  async all(): Promise<Map<string, WebRecord>> {
    const ids = new Set<string>();
    for (const name of await this.#files.names()) {
      const id = /^(.+)\.record\.[01]$/.exec(name)?.[1];
      if (id !== undefined) ids.add(id);
    }
    const records = new Map<string, WebRecord>();
    for (const id of ids) {
      const record = await this.get(id);
      if (record !== undefined) records.set(id, record);
    }
    return records;
  }

  put(id: string, record: WebRecord): Promise<void> {
    return this.#files.writeValue(`${id}.record`, record, true);
  }

  remove(id: string): Promise<void> {
    return this.#files.removeValue(`${id}.record`);
  }
}

/** The whole files of a repository by commit, the newest commit first. */
export function commitsOf(records: ReadonlyMap<string, WebRecord>, repo: string): StoredFile[][] {
  const commits = new Map<string, { addedAt: number; files: StoredFile[] }>();
  for (const [id, { size, sha256, hub }] of records) {
    if (sha256 === undefined) continue;
    for (const ref of hub) {
      if (ref.repo !== repo) continue;
      const there = commits.get(ref.commit) ?? { addedAt: 0, files: [] };
      there.addedAt = Math.max(there.addedAt, ref.addedAt);
      there.files.push({ id, size, path: ref.path, commit: ref.commit });
      commits.set(ref.commit, there);
    }
  }
  return [...commits.values()].sort((a, b) => b.addedAt - a.addedAt).map(({ files }) => files);
}

/** The files of a model, in order; nothing where it has not been pulled, or not all of it. */
export function findStored(
  records: ReadonlyMap<string, WebRecord>,
  name: HubName | UrlName,
): { readonly files: readonly StoredFile[]; readonly quant?: string } | undefined {
  if (name.kind === "url") {
    const files: StoredFile[] = [];
    for (const { url, file } of filesAt(name.url)) {
      const found = [...records].find(([, record]) => isOfUrl(record, url) && record.sha256 !== undefined);
      if (found === undefined) return undefined;
      files.push({ id: found[0], path: file, size: found[1].size });
    }
    return { files };
  }
  const named = commitNamed(records, name);
  // A branch moves on, and what was pulled of it before stays usable.
  const commits = commitsOf(records, name.repo).filter(
    ([{ commit }]) => name.revision === "main" || commit === named,
  );
  commits.sort((a, b) => Number(b[0].commit === named) - Number(a[0].commit === named));
  for (const files of commits) {
    try {
      return chooseFiles(name.repo, files, name);
    } catch (error) {
      if (!(error instanceof ClavisError)) throw error;
    }
  }
  return undefined;
}

/** The commit of a revision as it was last pulled. */
function commitNamed(
  records: ReadonlyMap<string, WebRecord>,
  { repo, revision }: HubName,
): string | undefined {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision;
  const refs = [...records.values()].flatMap(({ hub }) => hub);
  const newest = refs
    .filter((ref) => ref.repo === repo && ref.revision === revision)
    .sort((a, b) => b.addedAt - a.addedAt)[0];
  return newest?.commit;
}

export const isOfUrl = ({ url }: WebRecord, { href }: URL) => url?.href === href;
