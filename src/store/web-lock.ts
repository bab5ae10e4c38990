import type { Lock } from "./carry-out.ts";

// Who is busy with a file, across tabs and workers of the origin: a Web Lock, which ends with whoever holds it.
// Downloads hold it alone, and tell the others on a channel how far they have come; loading shares it.

const channelName = "clavis";
const announceMs = 200;

const lockName = (id: string) => `clavis ${id}`;

/** Takes the lock of a file alone, waiting while others hold it. */
export async function takeLock(
  id: string,
  waiting: (pid?: number, doneBytes?: number) => void,
  signal?: AbortSignal,
): Promise<Lock> {
  signal?.throwIfAborted();
  let release = await tryLock(id, "exclusive");
  if (release === undefined) {
    waiting();
    const channel = new BroadcastChannel(channelName);
    channel.onmessage = ({ data }) => data?.id === id && waiting(undefined, Number(data.doneBytes));
    try {
      release = await request(id, { signal });
    } finally {
      channel.close();
    }
  }
  return { held: async () => true, release: async () => release!() };
}

/** Takes the lock of a file, unless another holds it; returns what gives it back. */
export function tryLock(id: string, mode: LockMode): Promise<(() => void) | undefined> {
  return request(id, { mode, ifAvailable: true });
}

function request(id: string, options: LockOptions): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const held = (lock: unknown) =>
      lock === null ? resolve(undefined) : new Promise<void>((release) => resolve(release));
    navigator.locks.request(lockName(id), options, held).catch(reject);
  });
}

/** Tells those who wait for a file how far it has come, now and then. */
export class Announcer {
  readonly #channel = new BroadcastChannel(channelName);
  #announcedMs = 0;

  announce(id: string, doneBytes: number): void {
    const now = performance.now();
    if (now - this.#announcedMs < announceMs) return;
    this.#announcedMs = now;
    this.#channel.postMessage({ id, doneBytes });
  }

  close(): void {
    this.#channel.close();
  }
}
