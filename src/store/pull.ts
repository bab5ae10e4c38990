import { randomBytes } from "node:crypto";
import { mkdir, open, rename, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { ClavisError } from "../errors.ts";
import { describeUrl } from "./addresses.ts";
import { download, partialBytes, type Remote, removePartial, removeState } from "./download.ts";
import { cannotWrite, changed, noSpace, notGguf, offline } from "./errors.ts";
import { type HubFile, listFiles, locateFile } from "./hub.ts";
import { RepoCache } from "./hub-cache.ts";
import { takeLock } from "./lock.ts";
import type { HubName, UrlName } from "./names.ts";
import { parseLocalName } from "./node-names.ts";
import type { StoreOptions } from "./options.ts";
import { chooseFiles } from "./quants.ts";
import { checkDigest, digestNamed } from "./records.ts";
import { findLocal, type LocalModel, resolve } from "./resolve.ts";
import { withRetries } from "./retry.ts";
import { type Store, storeOf } from "./store.ts";
import { isThere, readSource, urlFiles, writeSource } from "./url-cache.ts";

/** A model that a pull brought, or found. */
export interface Pulled {
  readonly name: string;
  /** Of its file, or of the first part of a split one. */
  readonly path: string;
  readonly paths: readonly string[];
  /** Bytes of all files. */
  readonly bytes: number;
  /** Bytes that came over the network now. */
  readonly downloadedBytes: number;
  /** Upper case, where the name of the file tells it. */
  readonly quant?: string;
}

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
        bytes: sum(sizes),
        downloadedBytes: 0,
        quant: found.quant,
      };
    }
    const plan = parsed.kind === "hub" ? await hubPlan(store, parsed) : await urlPlan(store, parsed);
    return { name, ...(await carryOut(store, plan)) };
  } finally {
    await store.network.close();
  }
}

/**
 * Finds a model as {@link resolve} does; one that is not on this machine is downloaded.
 *
 * @throws ClavisError as resolve and pull
 */
export async function resolveOrPull(name: string, options: StoreOptions = {}): Promise<LocalModel> {
  try {
    return await resolve(name, options);
  } catch (error) {
    if (!(error instanceof ClavisError) || error.code !== "model.not_local") throw error;
  }
  await pull(name, options);
  return resolve(name, { ...options, verify: false });
}

/** One file to have: what it is, and what to do when its bytes are there. */
interface Task {
  readonly remote: Remote;
  readonly file: string;
  /** Where its bytes belong. */
  readonly blob: string;
  readonly partial: string;
  readonly lock: string;
  /** Whether the bytes at `blob` are those of the remote file. */
  isCurrent(): Promise<boolean>;
  /** Called with whole bytes at `blob`, downloaded or found. */
  install(sha256: string | undefined): Promise<string>;
}

interface Plan {
  readonly tasks: readonly Task[];
  readonly quant?: string;
}

async function carryOut(store: Store, { tasks, quant }: Plan): Promise<Omit<Pulled, "name">> {
  const allBytes = sum(tasks.map(({ remote }) => remote.size));
  const current = new Set<Task>();
  for (const task of tasks) if (await task.isCurrent()) current.add(task);
  await checkSpace(tasks.filter((task) => !current.has(task)));
  let before = 0;
  let downloadedBytes = 0;
  const paths: string[] = [];
  for (const task of tasks) {
    const progress = (done: number) => store.tell({ type: "progress", doneBytes: before + done, allBytes });
    if (current.has(task)) {
      const path = await task.install(undefined);
      store.tell({ type: "found", file: task.file, path });
      paths.push(path);
    } else {
      const { path, bytes } = await fetchFile(store, task, progress);
      downloadedBytes += bytes;
      paths.push(path);
    }
    before += task.remote.size;
    store.tell({ type: "progress", doneBytes: before, allBytes });
  }
  return { path: paths[0], paths, bytes: allBytes, downloadedBytes, quant };
}

/** Downloads one file under its lock, or has it from whoever held the lock. */
async function fetchFile(
  store: Store,
  task: Task,
  progress: (done: number) => void,
): Promise<{ path: string; bytes: number }> {
  const { file, remote, partial, blob } = task;
  const { signal } = store;
  let told = false;
  const lock = await takeLock(task.lock, {
    signal,
    waiting(pid) {
      if (!told) store.tell({ type: "waiting", file, pid });
      told = true;
      partialBytes(partial).then((done) => done !== undefined && progress(done));
    },
  });
  try {
    if (await task.isCurrent()) {
      const path = await task.install(undefined);
      store.tell({ type: "found", file, path });
      return { path, bytes: 0 };
    }
    let bytes = remote.size;
    const sha256 = await download(remote, partial, {
      ...store,
      onResume(doneBytes) {
        bytes = remote.size - doneBytes;
        store.tell({ type: "resumed", file, doneBytes });
      },
      onProgress: progress,
      onRetry: (error, waitMs) => store.tell({ type: "retry", file, error, waitMs }),
    });
    // A process that slept for long has lost its lock, and whoever has it now does the rest.
    if (!(await lock.held())) return await fetchFile(store, task, progress);
    await checkGguf(partial, remote.shown);
    await rename(partial, blob).catch((error) => {
      throw cannotWrite(blob, error);
    });
    await removeState(partial);
    const path = await task.install(sha256);
    store.tell({ type: "done", file, path, sha256 });
    return { path, bytes };
  } finally {
    await lock.release();
  }
}

/** Sign-in pages and the like arrive whole and without a digest; they must not get a model's name. */
async function checkGguf(partial: string, shown: string): Promise<void> {
  const magic = Buffer.alloc(4);
  const handle = await open(partial, "r");
  try {
    await handle.read(magic, 0, 4, 0);
  } finally {
    await handle.close();
  }
  if (magic.toString("latin1") === "GGUF") return;
  await removePartial(partial);
  throw notGguf(shown);
}

async function checkSpace(tasks: readonly Task[]): Promise<void> {
  if (tasks.length === 0) return;
  let needed = 0;
  for (const { remote, partial } of tasks) needed += remote.size - ((await partialBytes(partial)) ?? 0);
  const folder = dirname(tasks[0].blob);
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw cannotWrite(folder, error);
  }
  const system = await statfs(folder).catch(() => undefined);
  if (system === undefined) return; // not every file system says
  const { bavail, bsize } = system;
  const free = bavail * bsize - reserveBytes;
  if (needed > free) throw noSpace(folder, needed, Math.max(0, free));
}

// ---- the hub

async function hubPlan(store: Store, name: HubName): Promise<Plan> {
  const { network, settings, signal } = store;
  const retried = <T>(attempt: () => Promise<T>) => withRetries(store.patience, signal, attempt);
  const listed =
    name.file !== undefined && !/-\d{5}-of-\d{5}\.gguf$/i.test(name.file)
      ? [{ path: name.file, size: 0 }]
      : await retried(() => listFiles(network, settings, name, signal));
  const choice = chooseFiles(name.repo, listed, name);
  const { files, quant } = choice;
  if (choice.chosen)
    store.tell({ type: "chosen", repo: name.repo, quant, files: files.map(({ path }) => path) });
  const cache = new RepoCache(settings.hubFolder, name.repo);
  const tasks: Task[] = [];
  let revision = name.revision;
  for (const { path } of files) {
    const at = revision;
    const found = await retried(() =>
      locateFile(network, settings, { repo: name.repo, revision: at }, path, signal),
    );
    // A branch may move between two parts of a model; a commit does not.
    revision = found.commit;
    tasks.push(hubTask(store, cache, name, path, found));
  }
  return { tasks, quant };
}

function hubTask(store: Store, cache: RepoCache, name: HubName, path: string, found: HubFile): Task {
  const { network, settings, records } = store;
  const { etag, commit, size, digest } = found;
  const blob = cache.blob(etag);
  let location: URL | undefined = found.location;
  return {
    file: path,
    blob,
    partial: cache.partial(etag),
    lock: cache.lock(etag),
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
    async install(sha256) {
      if (sha256 !== undefined) await records.rememberDigest(blob, sha256);
      return cache.link(etag, commit, path, name.revision);
    },
  };
}

// ---- other addresses

async function urlPlan(store: Store, name: UrlName): Promise<Plan> {
  const { network, settings, signal } = store;
  const tasks: Task[] = [];
  for (const file of urlFiles(settings, name.url)) {
    const described = await withRetries(store.patience, signal, () =>
      describeUrl(network, settings, file.url, signal),
    );
    // Without a version nothing tells whether half a file goes with the other half.
    const version = described.version ?? randomBytes(9).toString("hex");
    const { path, url } = file;
    tasks.push({
      file: file.file,
      blob: path,
      partial: `${path}.incomplete`,
      lock: `${path}.lock`,
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
      async install(sha256) {
        if (sha256 === undefined) return path;
        await writeSource(path, { url: url.href, version: described.version, sha256 });
        await store.records.rememberDigest(path, sha256);
        return path;
      },
    });
  }
  return { tasks };
}

const sum = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0);
