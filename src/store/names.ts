import { badFileName, badName, longFileName, urlWithPassword } from "./errors.ts";
import { knownModels } from "./known-models.ts";

/** Names of models that come with the package, and their files in its models folder. */
const builtIn = new Map([["stories", "clavis-stories-q8_0.gguf"]]);

export const defaultModel = "stories";

/** What a name stands for. */
export type ModelName = BuiltInName | PathName | HubName | UrlName;

export interface BuiltInName {
  readonly kind: "builtIn";
  readonly shown: string;
  /** In the package's folder of models. */
  readonly file: string;
}

export interface PathName {
  readonly kind: "path";
  readonly shown: string;
  /** As it was given: a path, one that begins with ~, or a file: address; in a page, a relative address. */
  readonly path: string;
}

/** A model in a repository of the Hugging Face hub. */
export interface HubName {
  readonly kind: "hub";
  readonly shown: string;
  /** `owner/name`. */
  readonly repo: string;
  /** A branch, a tag or a commit; `main` unless named. */
  readonly revision: string;
  /** A path in the repository, where one was named. */
  readonly file?: string;
  /** Where one was named: only files of this quantisation will do. */
  readonly quant?: string;
  /** Taken where the repository has it. */
  readonly preferred?: string;
}

export interface UrlName {
  readonly kind: "url";
  readonly shown: string;
  readonly url: URL;
}

const hubHosts = new Set(["huggingface.co", "www.huggingface.co", "hf.co"]);

/**
 * Reads a name: a built-in or well-known one, `owner/repo[@revision][:quant]`, `hf.co/owner/repo[/file.gguf]`,
 * an http(s) address, or a path. What is on disk under that name is a path; so is what ends in .gguf without a
 * host, or begins like a path.
 *
 * @param isThere  whether something is on disk at a path; a page has no disk
 * @throws ClavisError `model.name` for a name of the hub that cannot be one
 */
export function parseName(text: string, isThere: (path: string) => boolean = () => false): ModelName {
  const name = text.trim();
  const file = builtIn.get(name);
  if (file !== undefined) return { kind: "builtIn", shown: name, file };
  if (/^https?:\/\//i.test(name)) return parseUrl(name);
  if (/^(file|blob|data):|^(\.{1,2}|~)?[/\\]|^[a-z]:[/\\]|^\.{1,2}$/i.test(name) || isThere(name))
    return pathName(name);
  const hosted = /^(?:www\.)?(?:hf\.co|huggingface\.co)\/(.*)$/i.exec(name);
  if (hosted !== null) return parseHubPath(name, hosted[1]);
  const known = knownName(name);
  if (known !== undefined) return known;
  if (!/\.gguf$/i.test(name) && /^[^/\\\s]+\/[^/\\\s]+$/.test(name)) return parseHubPath(name, name);
  return pathName(name);
}

/** Whether a word stands for a model without being the path of a file; for telling models from prompts. */
export function isModelName(word: string): boolean {
  return builtIn.has(word) || knownName(word) !== undefined;
}

function pathName(name: string): PathName {
  return { kind: "path", shown: name, path: name };
}

function knownName(text: string): HubName | undefined {
  const name = text.toLowerCase();
  const key = Object.hasOwn(knownModels, name)
    ? name
    : Object.keys(knownModels).find((one) => one.split(":")[0] === name.replace(/:latest$/, ""));
  if (key === undefined) return undefined;
  const { repo, quant } = knownModels[key];
  return { kind: "hub", shown: text, repo, revision: "main", preferred: quant };
}

/** The short name of a quantisation of a repository, where it has one. */
export function shortName(repo: string, quant: string): string | undefined {
  return Object.keys(knownModels).find(
    (name) => knownModels[name].repo === repo && knownModels[name].quant === quant,
  );
}

const mostSuggestions = 6;

/** Names that a mistyped word may have meant, nearest first; a few well-known ones where none is near. */
export function suggestions(word: string): string[] {
  const text = word.toLowerCase();
  const near = [...builtIn.keys(), ...Object.keys(knownModels)]
    .map((name) => {
      const family = name.split(":")[0];
      const sameFamily = text.split(":")[0] === family;
      const steps = Math.min(editSteps(text, name), text.includes(":") ? Infinity : editSteps(text, family));
      return { name, steps: sameFamily ? Math.min(steps, 2) : steps };
    })
    .filter(({ steps }) => steps <= Math.min(2, Math.floor(text.length / 3)))
    .sort((a, b) => a.steps - b.steps)
    .map(({ name }) => name);
  const usual = ["stories", "qwen3:0.6b", "llama3.2:1b", "gemma3:1b"];
  return near.length > 0 ? near.slice(0, mostSuggestions) : usual;
}

/** Letters to change, add, leave out or swap with their neighbour to make one word of another. */
function editSteps(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Infinity;
  let [before, row]: number[][] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + same);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) next[j] = Math.min(next[j], before[j - 2] + 1);
    }
    [before, row] = [row, next];
  }
  return row[b.length];
}

function parseUrl(name: string): ModelName {
  let url: URL;
  try {
    url = new URL(name);
  } catch {
    throw badName(name, "an http or https address");
  }
  if (url.username !== "" || url.password !== "") throw urlWithPassword(url.host);
  if (hubHosts.has(url.hostname) && url.port === "") {
    let path: string;
    try {
      path = decodeURIComponent(url.pathname);
    } catch {
      throw badName(name, "an address with a well-formed path");
    }
    return parseHubPath(name, path.replace(/^\/+|\/+$/g, ""));
  }
  return { kind: "url", shown: name, url };
}

/** `owner/repo[@revision][:quant]`, or `owner/repo[/(resolve|blob)/revision]/file.gguf`. */
function parseHubPath(shown: string, path: string): HubName {
  const [owner, rest, ...inside] = path.split("/");
  const named = /^([^@:]+)(?:@([^:]+))?(?::(.+))?$/.exec(rest ?? "");
  if (named === null) throw badName(shown, "owner/repo, as the hub shows it");
  const [, repoName, at, tag] = named;
  let revision = at ?? "main";
  let segments = inside;
  if (segments.length > 1 && /^(resolve|blob|raw|tree)$/.test(segments[0])) {
    revision = segments[1];
    segments = segments.slice(2);
  }
  const repo = checkedRepo(shown, `${owner}/${repoName}`);
  checkRevision(shown, revision);
  const file = segments.length > 0 ? segments.join("/") : /\.gguf$/i.test(tag ?? "") ? tag : undefined;
  if (file !== undefined) {
    checkFileName(file);
    return { kind: "hub", shown, repo, revision, file };
  }
  if (tag === undefined || tag === "latest") return { kind: "hub", shown, repo, revision };
  if (!/^[\w.-]{1,64}$/.test(tag)) throw badName(shown, "a quantisation such as Q4_K_M after the colon");
  return { kind: "hub", shown, repo, revision, quant: tag };
}

/** Names of owners and repositories become folders, so only what the hub itself allows gets through. */
function checkedRepo(shown: string, repo: string): string {
  const part = "[A-Za-z0-9](?:[\\w.-]{0,94}[\\w-])?";
  if (!new RegExp(`^${part}/${part}$`).test(repo) || /--|\.\./.test(repo))
    throw badName(shown, "owner/repo, as the hub shows it");
  return repo;
}

function checkRevision(shown: string, revision: string): void {
  const fine = /^[\w][\w./-]{0,199}$/.test(revision) && isSafePath(revision);
  if (!fine) throw badName(shown, "a branch, a tag or a commit as the revision");
}

/** What the file systems of today take for one name, in bytes of UTF-8. */
const longestName = 255;

/**
 * @param most  bytes that each name in the path may have
 * @throws ClavisError `model.file_name` for a path in a repository that could lead out of its folder, or that no
 *   disk could hold
 */
export function checkFileName(path: string, most = longestName): void {
  if (path.split("/").some((part) => bytesOf(part) > most)) throw longFileName(path, most);
  if (!isSafePath(path)) throw badFileName(path);
}

const bytesOf = (name: string) => new TextEncoder().encode(name).length;

/** Whether a relative path stays inside the folder that it is joined to, on any system. */
export function isSafePath(path: string): boolean {
  if (path.length > 1000) return false;
  return path.split("/").every(
    (part) =>
      part !== "" &&
      bytesOf(part) <= longestName &&
      !/^\.{1,2}$/.test(part) &&
      // Back slashes and colons separate on Windows; control characters have no place in a name.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is the point
      !/[\\:\u0000-\u001f\u007f]/.test(part) &&
      !/[. ]$/.test(part),
  );
}
