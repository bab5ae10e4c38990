import type { ClavisError } from "../errors.ts";
import type { Client, Hub } from "./client.ts";
import { type DownloadOptions, download, type Remote } from "./download.ts";
import { notGguf } from "./errors.ts";
import type { PullEvent, Pulled } from "./options.ts";
import type { NewHash, PartialFile } from "./partial.ts";
import type { Patience } from "./retry.ts";

// A pull, once it is known which files it is about: those that are not here are downloaded one after the other,
// each under its lock.

/** One file to have: what it is, and what to do when its bytes are there. */
export interface Task {
  readonly remote: Remote;
  readonly file: string;
  /** A signature is no model, and its path is told apart. Default: a model. */
  readonly kind?: "signature";
  readonly partial: PartialFile;
  /**
   * Takes the file's lock, waiting while another process or tab downloads it.
   *
   * @param waiting  called while another does: who it is, and how far it has come, as far as that is known
   */
  lock(waiting: (pid?: number, doneBytes?: number) => void): Promise<Lock>;
  /** Tells those who wait for it how far it has come, where they cannot see that. */
  announce?(doneBytes: number): void;
  /** Whether the file is here, whole, and the one that the server has. */
  isCurrent(): Promise<boolean>;
  /** Called where it is: gives the model its name, if it has not got it, and returns its path. */
  found(): Promise<string>;
  /** Called once the partial file is whole and checked: gives it its name and returns its path. */
  install(sha256: string): Promise<string>;
}

export interface Lock {
  /** Whether it is still ours: a process that slept for long may have lost it. */
  held(): Promise<boolean>;
  release(): Promise<void>;
}

/** What a pull works with, on a disk or in a browser's own file system. */
export interface PullTools {
  readonly settings: Hub;
  readonly network: Client;
  readonly newHash: NewHash;
  readonly patience: Patience;
  readonly connections: number;
  readonly partBytes: number;
  readonly signal?: AbortSignal;
  tell(event: PullEvent): void;
  /** @throws ClavisError `pull.space` where there is no room for what is missing of these */
  checkSpace(missing: readonly Task[]): Promise<void>;
}

/** Tells that a request is tried again; a silent wait looks like a hang. */
export const retryTeller =
  ({ tell }: Pick<PullTools, "tell">, file: string) =>
  (error: ClavisError, waitMs: number) =>
    tell({ type: "retry", file, error, waitMs });

export interface Plan {
  readonly tasks: readonly Task[];
  readonly quant?: string;
}

/** Brings all files of a plan here. */
export async function carryOut(tools: PullTools, { tasks, quant }: Plan): Promise<Omit<Pulled, "name">> {
  const allBytes = tasks.reduce((sum, { remote }) => sum + remote.size, 0);
  const current = new Set<Task>();
  for (const task of tasks) if (await task.isCurrent()) current.add(task);
  const missing = tasks.filter((task) => !current.has(task));
  if (missing.length > 0) await tools.checkSpace(missing);
  let before = 0;
  let downloadedBytes = 0;
  const paths: string[] = [];
  const signatures: string[] = [];
  for (const task of tasks) {
    const into = task.kind === "signature" ? signatures : paths;
    const progress = (done: number) => tools.tell({ type: "progress", doneBytes: before + done, allBytes });
    if (current.has(task)) into.push(await foundHere(tools, task));
    else {
      const { path, bytes } = await fetchFile(tools, task, progress);
      downloadedBytes += bytes;
      into.push(path);
    }
    before += task.remote.size;
    tools.tell({ type: "progress", doneBytes: before, allBytes });
  }
  return { path: paths[0], paths, signatures, bytes: allBytes, downloadedBytes, quant };
}

async function foundHere(tools: PullTools, task: Task): Promise<string> {
  const path = await task.found();
  tools.tell({ type: "found", file: task.file, path });
  return path;
}

/** Downloads one file under its lock, or has it from whoever held the lock. */
async function fetchFile(
  tools: PullTools,
  task: Task,
  progress: (done: number) => void,
): Promise<{ path: string; bytes: number }> {
  const { file, remote, partial } = task;
  let told = false;
  const lock = await task.lock((pid, doneBytes) => {
    if (!told) tools.tell({ type: "waiting", file, pid });
    told = true;
    if (doneBytes !== undefined) progress(doneBytes);
  });
  try {
    if (await task.isCurrent()) return { path: await foundHere(tools, task), bytes: 0 };
    let bytes = remote.size;
    const options: DownloadOptions = {
      ...tools,
      onResume(doneBytes) {
        bytes = remote.size - doneBytes;
        tools.tell({ type: "resumed", file, doneBytes });
      },
      onProgress(doneBytes) {
        progress(doneBytes);
        task.announce?.(doneBytes);
      },
      onRetry: (error, waitMs) => tools.tell({ type: "retry", file, error, waitMs }),
    };
    const sha256 = await download(remote, partial, options);
    // A process that slept for long has lost its lock, and whoever has it now does the rest.
    if (!(await lock.held())) return await fetchFile(tools, task, progress);
    if (task.kind !== "signature") await checkGguf(partial, remote);
    const path = await task.install(sha256);
    tools.tell({ type: "done", file, path, sha256 });
    return { path, bytes };
  } finally {
    await lock.release();
  }
}

/** Sign-in pages and the like arrive whole and without a digest; they must not get a model's name. */
async function checkGguf(partial: PartialFile, { size, shown }: Remote): Promise<void> {
  const magic = new Uint8Array(4);
  const handle = await partial.open(size, true);
  try {
    await handle.read(magic, 0);
  } finally {
    await handle.close();
  }
  if (String.fromCharCode(...magic) === "GGUF") return;
  await partial.remove();
  throw notGguf(shown);
}
