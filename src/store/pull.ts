import { createHash, randomBytes } from "node:crypto";
import { stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { ClavisError } from "../errors.ts";
import { describeUrl } from "./addresses.ts";
import { carryOut, type Plan, retryTeller, type Task } from "./carry-out.ts";
import { partialBytes } from "./download.ts";
import { cannotWrite, changed, noSpace, notSigned, offline } from "./errors.ts";
import { makeFolder } from "./folders.ts";
import { type HubFile, listFiles, locateFile } from "./hub.ts";
import { RepoCache } from "./hub-cache.ts";
import { takeLock } from "./lock.ts";
import type { HubName, UrlName } from "./names.ts";
import { parseLocalName } from "./node-names.ts";
import { NodePartial } from "./node-partial.ts";
import type { Pulled, StoreOptions } from "./options.ts";
import type { NewHash } from "./partial.ts";
import { chooseFiles } from "./quants.ts";
import { checkDigest, digestNamed } from "./records.ts";
import { findLocal } from "./resolve.ts";
import { withRetries } from "./retry.ts";
import { signaturesOf } from "./signatures.ts";
import { type Store, storeOf } from "./store.ts";
import { isThere, readSource, urlFiles, writeSource } from "./url-cache.ts";

/** Room left free on a disk, for everything else on the machine. */
const reserveBytes = 64 * 2 ** 20;

/**
 * Downloads a model by its name, unless it is there and current. Every file is whole and checked before it
 * gets its name; what a failure leaves unfinished goes on at the next pull.
 *
 * @throws ClavisError `model.*`, `net.*`, `pull.*`; the signal's reason once it is aborted
 */
export async function pull(name: string, options: StoreOptions = {}): Promise<Pulled> {
  const store = storeOf(options);
  const parsed = parseLocalName(name);
  try {
    if (parsed.kind === "builtIn" || parsed.kind === "path" || store.settings.offline) {
      const found = await findLocal(store, parsed);
      if (found === undefined) throw offline(name);
      const sizes = await Promise.all(found.paths.map(async (path) => (await stat(path)).size));
      return {
        name,
        path: found.paths[0],
        paths: found.paths,
        signatures: [],
        bytes: sum(sizes),
        downloadedBytes: 0,
        quant: found.quant,
      };
    }
    const plan = parsed.kind === "hub" ? await hubPlan(store, parsed) : await urlPlan(store, parsed);
    const tools = {
      ...store,
      newHash,
      checkSpace: (missing: readonly Task[]) => checkSpace(missing, plan.folder),
    };
    return { name, ...(await carryOut(tools, plan)) };
  } finally {
    await store.network.close();
  }
}

async function checkSpace(tasks: readonly Task[], folder: string): Promise<void> {
  let needed = 0;
  for (const { remote, partial } of tasks) needed += remote.size - ((await partialBytes(partial)) ?? 0);
  try {
    await makeFolder(folder);
  } catch (error) {
    throw cannotWrite(folder, error);
  }
  const system = await statfs(folder).catch(() => undefined);
  if (system === undefined) return; // not every file system says
  const { bavail, bsize } = system;
  const free = bavail * bsize - reserveBytes;
  if (needed > free) throw noSpace(folder, needed, Math.max(0, free));
}

const newHash: NewHash = (algorithm) => {
  const hash = createHash(algorithm);
  return { update: (piece) => hash.update(piece), digest: () => hash.digest("hex") };
};

/** A lock on disk; how far its holder has come is read from what it saved. */
async function fileLock(
  { signal }: Store,
  path: string,
  partial: NodePartial,
  waiting: (pid?: number, doneBytes?: number) => void,
) {
  return takeLock(path, {
    signal,
    waiting: (pid) => void partialBytes(partial).then((done) => waiting(pid, done)),
  });
}

// ---- the hub

/** Which files a pull is about, and the folder that their bytes are written to. */
type NodePlan = Plan & { readonly folder: string };

async function hubPlan(store: Store, name: HubName): Promise<NodePlan> {
  const { network, settings, signal } = store;
  const retried = <T>(attempt: () => Promise<T>) =>
    withRetries(store.patience, signal, attempt, retryTeller(store, name.shown));
  const listed = await retried(() => listFiles(network, settings, name, signal)).catch((error) => {
    // Mirrors may have files and no lists. Then a file that is named is brought without a look for its signature.
    if (!isWholeName(name) || !/^net\.(missing|status|answer)$/.test(error.code)) throw error;
    return [{ path: name.file, size: 0 }];
  });
  const choice = chooseFiles(name.repo, listed, name);
  const { files, quant } = choice;
  if (choice.chosen)
    store.tell({ type: "chosen", repo: name.repo, quant, files: files.map(({ path }) => path) });
  const cache = new RepoCache(settings.hubFolder, name.repo);
  const tasks: Task[] = [];
  let revision = name.revision;
  const paths = files.map(({ path }) => path);
  const signatures = new Set(signaturesOf(listed, paths).map(({ path }) => path));
  if (store.requireSignature && signatures.size === 0) throw notSigned(name.shown);
  // Signatures first, so that no model is without the one that it has.
  for (const path of [...signatures, ...paths]) {
    const at = revision;
    const found = await retried(() =>
      locateFile(network, settings, { repo: name.repo, revision: at }, path, signal),
    );
    // A branch may move between two parts of a model; a commit does not.
    revision = found.commit;
    tasks.push(hubTask(store, cache, name, path, found, signatures.has(path) ? "signature" : undefined));
  }
  return { tasks, quant, folder: cache.blobs };
}

/** Whether the name says all that a list of files would tell: one file, which is no part of a split model. */
const isWholeName = (name: HubName): name is HubName & { readonly file: string } =>
  name.file !== undefined && !/-\d{5}-of-\d{5}\.gguf$/i.test(name.file);

function hubTask(
  store: Store,
  cache: RepoCache,
  name: HubName,
  path: string,
  found: HubFile,
  kind: Task["kind"],
): Task {
  const { network, settings, records } = store;
  const { etag, commit, size, digest } = found;
  const blob = cache.blob(etag);
  const partial = new NodePartial(cache.partial(etag));
  // The revision moves on with the model itself.
  const link = () => cache.link(etag, commit, path, kind === "signature" ? commit : name.revision);
  let location: URL | undefined = found.location;
  return {
    file: path,
    kind,
    partial,
    lock: (waiting) => fileLock(store, cache.lock(etag), partial, waiting),
    remote: {
      shown: `${name.repo}/${path}`,
      size,
      version: etag,
      digest,
      linksEnd: true,
      async location(again, signal) {
        if (!again && location !== undefined) return location;
        const now = await withRetries(store.patience, signal, () =>
          locateFile(network, settings, { repo: name.repo, revision: commit }, path, signal),
        );
        if (now.etag !== etag) throw changed(path);
        location = now.location;
        return location;
      },
    },
    async isCurrent() {
      const there = await stat(blob).catch(() => undefined);
      if (there?.isFile() !== true) return false;
      try {
        if (there.size === size) {
          const expected = digestNamed(blob);
          if (expected === undefined) return true;
          await checkDigest(records, blob, expected, {
            again: store.verify,
            signal: store.signal,
            progress: (doneBytes, allBytes) =>
              store.tell({ type: "checking", file: path, doneBytes, allBytes }),
          });
          return true;
        }
      } catch (error) {
        if (!(error instanceof ClavisError) || error.code !== "store.digest") throw error;
      }
      store.tell({ type: "damaged", file: path });
      return false;
    },
    found: link,
    async install(sha256) {
      await partial.moveTo(blob);
      await records.rememberDigest(blob, sha256);
      return link();
    },
  };
}

// ---- other addresses

async function urlPlan(store: Store, name: UrlName): Promise<NodePlan> {
  const { network, settings, signal } = store;
  if (store.requireSignature) throw notSigned(name.shown);
  const tasks: Task[] = [];
  const files = urlFiles(settings, name.url);
  for (const file of files) {
    const described = await withRetries(
      store.patience,
      signal,
      () => describeUrl(network, settings, file.url, signal),
      retryTeller(store, file.file),
    );
    // Without a version nothing tells whether half a file goes with the other half.
    const version = described.version ?? randomBytes(9).toString("hex");
    const { path, url } = file;
    const partial = new NodePartial(`${path}.incomplete`);
    tasks.push({
      file: file.file,
      partial,
      lock: (waiting) => fileLock(store, `${path}.lock`, partial, waiting),
      remote: {
        shown: url.href,
        size: described.size,
        version,
        validator: described.validator,
        linksEnd: false,
        location: async () => url,
      },
      async isCurrent() {
        if (!(await isThere(file)) || (await stat(path)).size !== described.size) return false;
        return (await readSource(path))?.version === described.version;
      },
      found: async () => path,
      async install(sha256) {
        await partial.moveTo(path);
        await writeSource(path, { url: url.href, version: described.version, sha256 });
        await store.records.rememberDigest(path, sha256);
        return path;
      },
    });
  }
  return { tasks, folder: dirname(files[0].path) };
}

const sum = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0);
