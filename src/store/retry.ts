import { ClavisError } from "../errors.ts";

/** How often and how patiently a thing that failed is tried again. */
export interface Patience {
  /** Failures in a row without progress before giving up. */
  readonly tries: number;
  /** The first wait; each further one is twice as long, up to `longestWaitMs`, and drawn from its upper half. */
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
  /** A server's wish to wait longer than this (Retry-After) ends in an error that says so. */
  readonly longestRetryAfterMs: number;
  /** Without `stallBytes` bytes in this time a connection counts as stalled. */
  readonly stallMs: number;
  readonly stallBytes: number;
}

export const defaultPatience: Patience = {
  tries: 6,
  firstWaitMs: 500,
  longestWaitMs: 30_000,
  longestRetryAfterMs: 120_000,
  stallMs: 30_000,
  stallBytes: 4096,
};

/** A failure that another try may mend, perhaps after a wait that the server asked for. */
export class Passing extends Error {
  readonly error: ClavisError;
  readonly afterMs?: number;
  constructor(error: ClavisError, afterMs?: number) {
    super(error.message, { cause: error });
    this.error = error;
    this.afterMs = afterMs;
  }
}

/** The wait before try number `failures + 1`; random, so that many clients do not come back at once. */
export function waitMs(failures: number, patience: Patience): number {
  const full = Math.min(patience.longestWaitMs, patience.firstWaitMs * 2 ** Math.min(failures - 1, 20));
  return full * (0.5 + Math.random() / 2);
}

/** Waits after a failure, or throws its error where patience has ended. */
export async function pause(
  failure: Passing,
  failures: number,
  patience: Patience,
  { signal, told }: { signal?: AbortSignal; told?: (error: ClavisError, ms: number) => void } = {},
): Promise<void> {
  if (failures >= patience.tries || (failure.afterMs ?? 0) > patience.longestRetryAfterMs)
    throw failure.error;
  const ms = failure.afterMs ?? waitMs(failures, patience);
  told?.(failure.error, ms);
  await sleep(ms, signal);
}

/** @throws the signal's reason once it is aborted */
function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const end = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, ms);
    signal?.addEventListener("abort", end, { once: true });
  });
}

/**
 * Does a request again while its failures may pass.
 *
 * @param told  called before each wait
 */
export async function withRetries<T>(
  patience: Patience,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
  told?: (error: ClavisError, waitMs: number) => void,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      const unanswered = error instanceof ClavisError && error.code === "net.unreachable";
      const failure = unanswered ? new Passing(error) : error;
      if (!(failure instanceof Passing)) throw error;
      await pause(failure, failures, patience, { signal, told });
    }
  }
}
