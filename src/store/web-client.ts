import type { Answer, Client, Hub, RequestOptions } from "./client.ts";
import { unreachable } from "./errors.ts";

/**
 * Requests by a browser's fetch. Redirects are followed by the browser, which sends the token on to no other
 * origin (Fetch standard, HTTP-redirect fetch, step 13). Of answers from other origins it shows only the headers
 * that the server exposes, and the few that are always shown, Content-Length and Last-Modified among them.
 */
export class WebClient implements Client {
  readonly hidesHeaders = true;
  readonly #hub: Hub;
  readonly #headersMs: number;

  constructor(hub: Hub, headersMs = 30_000) {
    this.#hub = hub;
    this.#headersMs = headersMs;
  }

  async request(url: URL, { method = "GET", headers, signal }: RequestOptions = {}): Promise<Answer> {
    const { endpoint, token } = this.#hub;
    const ending = new AbortController();
    const stop = () => ending.abort(signal!.reason);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
    const late = setTimeout(
      () => ending.abort(new Error(`${this.#headersMs / 1000} s passed`)),
      this.#headersMs,
    );
    const release = () => signal?.removeEventListener("abort", stop);
    try {
      const response = await fetch(url, {
        method,
        headers: {
          ...headers,
          ...(token !== undefined && url.origin === endpoint.origin && { authorization: `Bearer ${token}` }),
        },
        // Kept once in the store, not a second time in the browser's cache, where ranges of one address queue up.
        cache: "no-store",
        // Where a model is used is not the hub's business.
        referrerPolicy: "no-referrer",
        signal: ending.signal,
      });
      return {
        url: new URL(response.url || url),
        status: response.status,
        header: (name) => response.headers.get(name) ?? undefined,
        body: piecesOf(response, release),
        discard() {
          release();
          ending.abort();
        },
      };
    } catch (error) {
      release();
      // A time that ran out is the server's doing; any other reason to abort is the caller's.
      const timedOut = (signal?.reason as { name?: string } | undefined)?.name === "TimeoutError";
      if (!timedOut) signal?.throwIfAborted();
      throw unreachable(url.host, ending.signal.reason ?? error);
    } finally {
      clearTimeout(late);
    }
  }

  async close(): Promise<void> {}
}

/** The body piece by piece; not every browser lets a stream be iterated over. */
async function* piecesOf(response: Response, release: () => void): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) yield piece.value;
  } finally {
    release();
    reader.cancel().catch(() => {});
  }
}
