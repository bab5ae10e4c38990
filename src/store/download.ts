import { ClavisError } from "../errors.ts";
import { type Answer, type Client, type Hub, refusal } from "./client.ts";
import { brokenOff, changed, stalled, wrongDigest } from "./errors.ts";
import type { Digest } from "./hub.ts";
import type { Hash, NewHash, PartialFile, PartialHandle } from "./partial.ts";
import { Passing, type Patience, pause } from "./retry.ts";

// One file, from a server to disk: parts side by side, each going on where it stopped.
//
// The bytes go to a partial file, which has the whole length from the beginning, and beside it is saved how far
// each part came, only after the bytes that it counts, so that a killed process loses at most a second of
// work. The digest is computed while the parts arrive, over the bytes read back in order (from memory,
// where the system keeps it), so that what was checked is what was written.

/** A file on a server. */
export interface Remote {
  /** For messages. */
  readonly shown: string;
  readonly size: number;
  /** What tells one version of the file from another. */
  readonly version: string;
  readonly digest?: Digest;
  /** A strong validator that the server of the bytes itself gave, for If-Range. */
  readonly validator?: string;
  /** In place of `validator` where a page may not send If-Range: whether an answer is of another version. */
  isOther?(answer: Answer): boolean;
  /** Whether `location` is a link that ends after a while, as those of the hub do. */
  readonly linksEnd: boolean;
  /** Where the bytes are; `again` asks for a new link. */
  location(again: boolean, signal: AbortSignal): Promise<URL>;
}

export interface DownloadOptions {
  readonly network: Client;
  readonly settings: Hub;
  readonly newHash: NewHash;
  readonly patience: Patience;
  /** Connections at a time. */
  readonly connections: number;
  readonly partBytes: number;
  readonly signal?: AbortSignal;
  readonly onResume?: (doneBytes: number) => void;
  readonly onProgress?: (doneBytes: number) => void;
  readonly onRetry?: (error: ClavisError, waitMs: number) => void;
}

interface Part {
  readonly start: number;
  readonly end: number;
  /** Bytes on disk, from `start` on. */
  done: number;
}

interface State {
  readonly version: string;
  readonly size: number;
  readonly partBytes: number;
  readonly done: number[];
}

const saveEveryMs = 1000;
/** Written at once; fewer, larger writes are what a disk and the thread pool like. */
const writeBytes = 2 ** 20;
/** Or after this time, so that little is lost, and progress is seen, where they come slowly. */
const writeMs = 250;
const hashBytes = 2 ** 20;
/** Progress that starts the count of failures anew; a server that gives a byte per try does not. */
const progressBytes = 64 * 2 ** 10;

/** The server does not give ranges, or not of this file: everything from the beginning, in one go. */
class NoRanges extends Error {}

/** A download without ranges broke off, so that all of it has to begin again. */
class FromTheBeginning extends Error {
  readonly failure: Passing;
  constructor(failure: Passing) {
    super(failure.message);
    this.failure = failure;
  }
}

/**
 * Downloads a file to `partial`, whole and checked, and returns its sha256.
 *
 * What was downloaded of the same version before is kept. After a failure the partial file stays, for the next
 * try, but not where its bytes are wrong.
 *
 * @throws ClavisError `net.*`, `pull.*`; the signal's reason once it is aborted
 */
export async function download(
  remote: Remote,
  partial: PartialFile,
  options: DownloadOptions,
): Promise<string> {
  let ranges = true;
  let failures = 0;
  for (let attempt = 1; ; attempt++) {
    const kept = ranges ? await readState(partial, remote, options.partBytes) : undefined;
    const resumed = kept?.done.reduce((sum, done) => sum + done, 0) ?? 0;
    if (resumed > 0) options.onResume?.(resumed);
    try {
      const { digest, sha256 } = await new Download(remote, partial, options, ranges, kept).run();
      if (remote.digest === undefined || digest === remote.digest.hex) return sha256;
      // Bytes of an earlier run may have been damaged in between, so those get a second chance.
      await partial.remove();
      if (resumed === 0 || attempt > 2) throw wrongDigest(remote.shown, digest, remote.digest.hex);
    } catch (error) {
      if (error instanceof NoRanges) ranges = false;
      else if (error instanceof FromTheBeginning) {
        const { patience, signal, onRetry } = options;
        await partial.remove();
        await pause(error.failure, ++failures, patience, { signal, told: onRetry });
      } else {
        if (error instanceof ClavisError && error.code === "pull.changed") await partial.remove();
        throw error;
      }
      await partial.remove();
    }
  }
}

/** How far a download has come, perhaps one that another process is busy with; nothing where there is none. */
export async function partialBytes(partial: PartialFile): Promise<number | undefined> {
  const { done } = Object((await partial.saved())?.state) as Partial<State>;
  return Array.isArray(done) ? done.reduce((sum, bytes) => sum + (Number(bytes) || 0), 0) : undefined;
}

/** What is left of an earlier run, if it was of the same version of the file. */
async function readState(
  partial: PartialFile,
  remote: Remote,
  partBytes: number,
): Promise<State | undefined> {
  const saved = await partial.saved();
  if (saved === undefined) return undefined;
  const { size } = saved;
  const state = Object(saved.state) as State;
  const same =
    size === remote.size &&
    state.version === remote.version &&
    state.size === remote.size &&
    Number.isSafeInteger(state.partBytes) &&
    state.partBytes >= Math.min(partBytes, 2 ** 12) &&
    Array.isArray(state.done) &&
    state.done.length === partsOf(remote.size, state.partBytes).length &&
    partsOf(remote.size, state.partBytes).every(({ start, end }, i) => {
      const done = state.done[i];
      return Number.isSafeInteger(done) && done >= 0 && done <= end - start;
    });
  return same ? state : undefined;
}

function partsOf(size: number, partBytes: number): Part[] {
  return Array.from({ length: Math.ceil(size / partBytes) }, (_, i) => ({
    start: i * partBytes,
    end: Math.min(size, (i + 1) * partBytes),
    done: 0,
  }));
}

class Download {
  readonly #remote: Remote;
  readonly #partial: PartialFile;
  readonly #options: DownloadOptions;
  readonly #ranges: boolean;
  readonly #state: State | undefined;
  readonly #parts: Part[];
  readonly #partBytes: number;
  readonly #ending = new AbortController();
  #handle!: PartialHandle;
  #location: Promise<URL> | undefined;
  #asked: URL | undefined;
  #nextPart = 0;
  #done = 0;
  #failures = 0;
  #progressSinceFailure = 0;
  /** Parts before this one are whole. */
  #leading = 0;
  #grown: (() => void) | undefined;
  #saved = performance.now();
  #saving: Promise<void> = Promise.resolve();

  constructor(
    remote: Remote,
    partial: PartialFile,
    options: DownloadOptions,
    ranges: boolean,
    state: State | undefined,
  ) {
    this.#remote = remote;
    this.#partial = partial;
    this.#options = options;
    this.#ranges = ranges;
    this.#state = state;
    this.#partBytes = ranges ? (state?.partBytes ?? options.partBytes) : Math.max(remote.size, 1);
    this.#parts = partsOf(remote.size, this.#partBytes);
    for (const [i, part] of this.#parts.entries()) part.done = state?.done[i] ?? 0;
    this.#done = this.#parts.reduce((sum, part) => sum + part.done, 0);
  }

  async run(): Promise<{ digest: string; sha256: string }> {
    const { signal } = this.#options;
    const stop = () => this.#ending.abort(signal!.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      this.#handle = await this.#partial.open(this.#remote.size, this.#state !== undefined);
      try {
        const workers = this.#ranges ? Math.min(this.#options.connections, this.#parts.length) : 1;
        const all = [this.#hash(), ...Array.from({ length: workers }, () => this.#work())];
        // The first failure ends all the others; it is the one to tell.
        let failure: unknown;
        const settled = await Promise.allSettled(
          all.map((one) =>
            one.catch((error) => {
              failure ??= error;
              this.#ending.abort(failure);
              this.#grown?.();
              throw error;
            }),
          ),
        );
        await this.#saving;
        if (failure !== undefined) {
          if (this.#ranges && !(failure instanceof NoRanges)) await this.#save().catch(() => {});
          throw failure;
        }
        await this.#handle.sync();
        return (settled[0] as PromiseFulfilledResult<{ digest: string; sha256: string }>).value;
      } finally {
        await this.#handle.close();
      }
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Takes one part after another until none is left. */
  async #work(): Promise<void> {
    while (this.#nextPart < this.#parts.length) {
      const part = this.#parts[this.#nextPart++];
      while (part.done < part.end - part.start) {
        try {
          await this.#fetch(part);
        } catch (error) {
          if (!(error instanceof Passing) || this.#ending.signal.aborted) throw error;
          if (!this.#ranges && part.done > 0) throw new FromTheBeginning(error);
          this.#failures = this.#progressSinceFailure >= progressBytes ? 1 : this.#failures + 1;
          this.#progressSinceFailure = 0;
          await pause(error, this.#failures, this.#options.patience, {
            signal: this.#ending.signal,
            told: this.#options.onRetry,
          });
        }
      }
    }
  }

  async #fetch(part: Part): Promise<void> {
    const { network } = this.#options;
    const { shown, size, validator } = this.#remote;
    const start = part.start + part.done;
    const url = await this.#locate();
    const watchdog = new Watchdog(this.#ending.signal, this.#options.patience);
    let answer: Answer | undefined;
    try {
      const range = { range: `bytes=${start}-${part.end - 1}`, ...(validator && { "if-range": validator }) };
      answer = await network.request(url, { headers: this.#ranges ? range : {}, signal: watchdog.signal });
      if (answer.status === 206 && this.#ranges) {
        const asked = `bytes ${start}-${part.end - 1}/${size}`;
        const told = answer.header("content-range");
        // A page may not be shown it; then the digest tells whether these were the bytes that were asked for.
        const hidden = told === undefined && network.hidesHeaders && this.#remote.digest !== undefined;
        if (!hidden && told !== asked && told !== asked.replace(/\d+$/, "*")) throw new NoRanges();
      } else if (answer.status === 200) {
        // An answer with the whole file serves as well where all of it was wanted.
        if (this.#ranges && (start > 0 || part.end < size)) throw new NoRanges();
        const told = answer.header("content-length");
        if (told !== undefined && Number(told) !== size) throw changed(shown);
        if (validator !== undefined && (answer.header("etag") ?? validator) !== validator)
          throw changed(shown);
      } else throw this.#refused(answer, url);
      if (this.#remote.isOther?.(answer)) throw changed(shown);
      await this.#receive(part, answer, watchdog);
    } catch (error) {
      if (this.#ending.signal.aborted || error instanceof Passing || error instanceof NoRanges) throw error;
      if (watchdog.expired) throw new Passing(stalled(url.host, this.#options.patience.stallMs));
      if (!(error instanceof ClavisError)) throw new Passing(brokenOff(url.host, this.#done, size, error));
      throw error.code === "net.unreachable" ? new Passing(error) : error;
    } finally {
      watchdog.end();
      if (answer !== undefined) answer.discard();
    }
  }

  #refused(answer: Answer, asked: URL): Error {
    const { settings } = this.#options;
    const error = refusal(answer, this.#remote.shown, settings);
    if (answer.status === 416) return this.#ranges ? new NoRanges() : changed(this.#remote.shown);
    if (error instanceof Passing) return error;
    if (!this.#remote.linksEnd || asked.origin === settings.endpoint.origin) return error;
    // The link may have ended; the hub gives a new one, unless another worker has asked for it already.
    if (this.#asked === asked) this.#location = undefined;
    return new Passing(error);
  }

  /** The address to ask, the same object while the link lasts. */
  async #locate(): Promise<URL> {
    this.#location ??= this.#remote.location(this.#asked !== undefined, this.#ending.signal);
    this.#asked = await this.#location;
    return this.#asked;
  }

  /** Writes the body of an answer where it belongs, at most up to the end of the part. */
  async #receive(part: Part, answer: Answer, watchdog: Watchdog): Promise<void> {
    const { host } = answer.url;
    let waiting: Uint8Array[] = [];
    let waitingBytes = 0;
    let flushedMs = performance.now();
    const flush = async () => {
      const pieces = waiting;
      const at = part.start + part.done;
      const length = waitingBytes;
      waiting = [];
      waitingBytes = 0;
      flushedMs = performance.now();
      if (length === 0) return;
      await this.#handle.write(pieces, length, at);
      part.done += length;
      this.#advance(length);
    };
    let failure: unknown;
    try {
      for await (const piece of answer.body) {
        watchdog.came(piece.length);
        const room = part.end - part.start - part.done - waitingBytes;
        const wanted = piece.length > room ? piece.subarray(0, room) : piece;
        waiting.push(wanted);
        waitingBytes += wanted.length;
        if (waitingBytes >= writeBytes || performance.now() - flushedMs >= writeMs) await flush();
        // More than was asked for is not read.
        if (piece.length > room) break;
      }
    } catch (error) {
      failure = error;
    }
    // What came before a connection broke counts.
    if (!(failure instanceof ClavisError)) await flush();
    if (failure !== undefined) throw failure;
    if (part.done < part.end - part.start) throw new Passing(brokenOff(host, this.#done, this.#remote.size));
  }

  #advance(bytes: number): void {
    this.#done += bytes;
    this.#progressSinceFailure += bytes;
    this.#grown?.();
    this.#options.onProgress?.(this.#done);
    if (!this.#ranges || performance.now() - this.#saved < saveEveryMs) return;
    this.#saved = performance.now();
    this.#saving = this.#saving.then(() => this.#save()).catch(() => {});
  }

  async #save(): Promise<void> {
    const { version, size, digest } = this.#remote;
    const state: State = {
      version,
      size,
      partBytes: this.#partBytes,
      done: this.#parts.map(({ done }) => done),
    };
    // Without a digest, nothing would notice bytes that a power cut took after they were counted.
    if (digest === undefined) await this.#handle.sync();
    await this.#partial.save(state);
  }

  /** Hashes the file from its beginning, as far as it is there without a gap, until it is whole. */
  async #hash(): Promise<{ digest: string; sha256: string }> {
    const { size, digest } = this.#remote;
    const sha256 = this.#options.newHash("sha256");
    let git: Hash | undefined;
    if (digest?.algorithm === "git-sha1") {
      git = this.#options.newHash("sha1");
      await git.update(new TextEncoder().encode(`blob ${size}\0`));
    }
    const buffer = new Uint8Array(Math.min(hashBytes, Math.max(size, 1)));
    for (let at = 0; at < size; ) {
      const ready = this.#contiguous();
      // By large pieces, but at the end by whatever is there.
      if (ready - at < hashBytes && ready < size) {
        await new Promise<void>((resolve) => {
          this.#grown = resolve;
        });
        this.#grown = undefined;
        this.#ending.signal.throwIfAborted();
        continue;
      }
      while (at < ready && (ready - at >= hashBytes || ready === size)) {
        const length = Math.min(buffer.length, ready - at);
        const bytesRead = await this.#handle.read(buffer.subarray(0, length), at);
        if (bytesRead === 0) throw changed(this.#partial.shown);
        const piece = buffer.subarray(0, bytesRead);
        await sha256.update(piece);
        await git?.update(piece);
        at += bytesRead;
        this.#ending.signal.throwIfAborted();
      }
    }
    const hex = await sha256.digest();
    return { sha256: hex, digest: (await git?.digest()) ?? hex };
  }

  /** Bytes from the beginning that are all there. */
  #contiguous(): number {
    const parts = this.#parts;
    const isWhole = ({ start, end, done }: Part) => done === end - start;
    while (this.#leading < parts.length && isWhole(parts[this.#leading])) this.#leading++;
    return this.#leading === parts.length
      ? this.#remote.size
      : parts[this.#leading].start + parts[this.#leading].done;
  }
}

/** Aborts a request over which almost nothing comes. */
class Watchdog {
  expired = false;
  readonly signal: AbortSignal;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #outer: AbortSignal;
  readonly #stop: () => void;
  #came = 0;

  constructor(outer: AbortSignal, { stallMs, stallBytes }: Patience) {
    const controller = new AbortController();
    this.signal = controller.signal;
    this.#outer = outer;
    this.#stop = () => controller.abort(outer.reason);
    if (outer.aborted) this.#stop();
    outer.addEventListener("abort", this.#stop, { once: true });
    this.#timer = setInterval(() => {
      if (this.#came < stallBytes) {
        this.expired = true;
        controller.abort(new Error("stalled"));
      }
      this.#came = 0;
    }, stallMs);
  }

  came(bytes: number): void {
    this.#came += bytes;
  }

  end(): void {
    clearInterval(this.#timer);
    this.#outer.removeEventListener("abort", this.#stop);
  }
}
