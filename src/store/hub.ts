import { ClavisError } from "../errors.ts";
import { type Answer, type Client, type Hub, redirectTarget, refusal, within } from "./client.ts";
import { badAnswer, noSuchFile, unreachable } from "./errors.ts";
import type { HubName } from "./names.ts";
import type { Listed } from "./quants.ts";
import { Passing } from "./retry.ts";

// The parts of the Hugging Face hub's HTTP interface that a download needs.
// Source: huggingface_hub, docs "Hub API endpoints" and "Download files from the Hub".

/** How a whole file is checked: sha256 for large files, as git does (sha1 over a header and the file) for small ones. */
export interface Digest {
  readonly algorithm: "sha256" | "git-sha1";
  readonly hex: string;
}

/** A file of a repository as the hub describes it. */
export interface HubFile {
  readonly commit: string;
  /** The name of its blob. */
  readonly etag: string;
  readonly size: number;
  readonly digest?: Digest;
  /** Where its bytes are: often on another host, by a link that ends after an hour. */
  readonly location: URL;
}

/** A file in the hub's list of a repository. */
export interface RepoFile extends Listed {
  readonly digest?: Digest;
}

/** Bytes of all pages together. */
const longestList = 64 * 2 ** 20;
const mostPages = 200;
const longestPageMs = 120_000;

/**
 * All files of a repository.
 *
 * @throws ClavisError `net.*`
 */
export async function listFiles(
  client: Client,
  hub: Hub,
  { repo, revision }: Pick<HubName, "repo" | "revision">,
  signal?: AbortSignal,
): Promise<RepoFile[]> {
  const files: RepoFile[] = [];
  let url: URL | undefined = apiUrl(hub, `api/models/${repo}/tree/${encodeURIComponent(revision)}`);
  url.search = "?recursive=true";
  let left = longestList;
  for (let page = 0; url !== undefined && page < mostPages; page++) {
    const answer = await client.request(url, { signal: within(longestPageMs, signal) });
    if (answer.status !== 200) {
      answer.discard();
      throw refusal(answer, repo, hub);
    }
    const { value: entries, length } = await jsonOf(answer, left, signal);
    left -= length;
    if (!Array.isArray(entries)) throw badAnswer(answer.url.host, "something other than a list of files");
    for (const entry of entries) {
      const { type, path, size, lfs, oid } = Object(entry) as Record<string, unknown>;
      if (type !== "file" || typeof path !== "string") continue;
      const large = Object(lfs) as { size?: unknown; oid?: unknown };
      const bytes = large.size ?? size;
      if (typeof bytes === "number" && Number.isSafeInteger(bytes) && bytes >= 0)
        files.push({ path, size: bytes, digest: digestOf(String(large.oid ?? oid)) });
    }
    const next: string | undefined = /<([^>]+)>;\s*rel="next"/.exec(answer.header("link") ?? "")?.[1];
    url = next === undefined ? undefined : redirectTarget(answer.url, next);
  }
  return files;
}

/**
 * The commit that a branch or tag has now.
 *
 * @throws ClavisError `net.*`
 */
export async function commitOf(
  client: Client,
  hub: Hub,
  { repo, revision }: Pick<HubName, "repo" | "revision">,
  signal?: AbortSignal,
): Promise<string> {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision;
  const url = apiUrl(hub, `api/models/${repo}/revision/${encodeURIComponent(revision)}`);
  const answer = await client.request(url, { signal: within(longestPageMs, signal) });
  if (answer.status !== 200) {
    answer.discard();
    throw refusal(answer, repo, hub);
  }
  const { sha } = Object((await jsonOf(answer, longestList, signal)).value) as { sha?: unknown };
  if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha))
    throw badAnswer(answer.url.host, "no commit of the repository");
  return sha;
}

/**
 * What the hub says of one file, and where its bytes are.
 *
 * @throws ClavisError `net.*`; `model.no_file`
 */
export async function locateFile(
  client: Client,
  hub: Hub,
  { repo, revision }: Pick<HubName, "repo" | "revision">,
  path: string,
  signal?: AbortSignal,
): Promise<HubFile> {
  const url = fileUrl(hub, repo, revision, path);
  // Headers of the hub itself are wanted, so a redirect to where the bytes are is not followed.
  const answer = await client.request(url, { method: "HEAD", redirects: "ownHost", signal });
  answer.discard();
  const location = answer.header("location");
  const redirected = answer.status >= 300 && answer.status < 400 && location !== undefined;
  if (answer.status === 404 && answer.header("x-error-code") === "EntryNotFound")
    throw noSuchFile(repo, path, []);
  if (answer.status !== 200 && !redirected) throw refusal(answer, `${repo}/${path}`, hub);
  const { host } = answer.url;
  const commit = answer.header("x-repo-commit") ?? "";
  if (!/^[0-9a-f]{40}$/.test(commit)) throw badAnswer(host, "no commit in X-Repo-Commit");
  const etag = (answer.header("x-linked-etag") ?? answer.header("etag") ?? "")
    .replace(/^W\//, "")
    .replace(/"/g, "");
  // It becomes the name of a file.
  const digest = digestOf(etag);
  if (digest === undefined) throw badAnswer(host, "no digest in X-Linked-Etag or ETag");
  const size = Number(answer.header("x-linked-size") ?? answer.header("content-length") ?? Number.NaN);
  if (!Number.isSafeInteger(size) || size < 0)
    throw badAnswer(host, "no size in X-Linked-Size or Content-Length");
  return {
    commit,
    etag,
    size,
    digest,
    location: redirected ? redirectTarget(answer.url, location) : answer.url,
  };
}

/** Which digest a name of the hub's is: sha256 has 64 hexadecimal digits, git's sha1 40. */
function digestOf(hex: string): Digest | undefined {
  if (/^[0-9a-f]{64}$/.test(hex)) return { algorithm: "sha256", hex };
  return /^[0-9a-f]{40}$/.test(hex) ? { algorithm: "git-sha1", hex } : undefined;
}

/**
 * Where the bytes of a file are after all redirects, for whoever cannot stop at the first.
 *
 * @throws ClavisError `net.*`
 */
export async function followFile(
  client: Client,
  hub: Hub,
  { repo, revision }: Pick<HubName, "repo" | "revision">,
  path: string,
  signal?: AbortSignal,
): Promise<URL> {
  // Not HEAD: links that are signed for GET are often good for nothing else.
  const headers = { range: "bytes=0-0" };
  const answer = await client.request(fileUrl(hub, repo, revision, path), { headers, signal });
  answer.discard();
  if (answer.status !== 206 && answer.status !== 200) throw refusal(answer, `${repo}/${path}`, hub);
  return answer.url;
}

/** The address that people and tools know a file by. */
function fileUrl(hub: Hub, repo: string, revision: string, path: string): URL {
  const file = path.split("/").map(encodeURIComponent).join("/");
  return apiUrl(hub, `${repo}/resolve/${encodeURIComponent(revision)}/${file}`);
}

function apiUrl({ endpoint }: Hub, path: string): URL {
  const url = new URL(endpoint);
  url.pathname = `${endpoint.pathname.replace(/\/+$/, "")}/${path}`;
  return url;
}

async function jsonOf(
  answer: Answer,
  most: number,
  signal?: AbortSignal,
): Promise<{ value: unknown; length: number }> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const piece of answer.body) {
      length += piece.length;
      if (length > most) throw badAnswer(answer.url.host, "a list of files longer than 64 MiB");
      pieces.push(piece);
    }
  } catch (error) {
    answer.discard();
    signal?.throwIfAborted();
    throw error instanceof ClavisError ? error : new Passing(unreachable(answer.url.host, error));
  }
  try {
    return { value: JSON.parse(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).text()), length };
  } catch {
    throw badAnswer(answer.url.host, "text that is not JSON");
  }
}
