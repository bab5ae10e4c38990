import type { Dispatcher } from "undici";
import { type Answer, type Client, type RequestOptions, redirectTarget } from "./client.ts";
import { badRedirect, unreachable } from "./errors.ts";
import type { Settings } from "./settings.ts";

const mostRedirects = 10;

/**
 * Requests as a download needs them: through the proxies that the environment names, with redirects followed
 * by hand, so that the token goes to the hub's own origin and to no other.
 */
export class Network implements Client {
  readonly #settings: Settings;
  readonly #headersMs: number;
  #agent: Promise<Requester> | undefined;

  constructor(settings: Settings, headersMs = 30_000) {
    this.#settings = settings;
    this.#headersMs = headersMs;
  }

  /**
   * Sends a request; every status is an answer.
   *
   * @throws ClavisError `net.unreachable`, `net.redirect`; the signal's reason once it is aborted
   */
  async request(url: URL, options: RequestOptions = {}): Promise<Answer> {
    const { method = "GET", redirects = "follow", signal } = options;
    this.#agent ??= requester(this.#headersMs);
    const send = await this.#agent;
    let at = url;
    for (let hop = 0; hop <= mostRedirects; hop++) {
      let response: Dispatcher.ResponseData;
      try {
        response = await send.request(at, method, { ...options.headers, ...this.#token(at) }, signal);
      } catch (error) {
        // A time that ran out is the server's doing; any other reason to abort is the caller's.
        const timedOut = (signal?.reason as { name?: string } | undefined)?.name === "TimeoutError";
        if (!timedOut) signal?.throwIfAborted();
        throw unreachable(at.host, error);
      }
      const answer = answerOf(at, response);
      const location = answer.header("location");
      if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer;
      const target = redirectTarget(at, location);
      if (redirects === "ownHost" && target.origin !== at.origin) return answer;
      answer.discard();
      at = target;
    }
    throw badRedirect(url.host, at.href);
  }

  /** Ends idle connections. */
  async close(): Promise<void> {
    const agent = await this.#agent?.catch(() => undefined);
    this.#agent = undefined;
    await agent?.close();
  }

  #token(url: URL): Record<string, string> {
    const { token, endpoint } = this.#settings;
    return token !== undefined && url.origin === endpoint.origin ? { authorization: `Bearer ${token}` } : {};
  }
}

interface Requester {
  request(
    url: URL,
    method: "GET" | "HEAD",
    headers: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<Dispatcher.ResponseData>;
  close(): Promise<void>;
}

/** Loaded when first needed: a model that is a file never pays for it. */
async function requester(headersMs: number): Promise<Requester> {
  const { EnvHttpProxyAgent, request } = await import("undici");
  // Pauses within a body are the watchdog's matter, so the client's own limit is off.
  const dispatcher = new EnvHttpProxyAgent({
    headersTimeout: headersMs,
    bodyTimeout: 0,
    connect: { timeout: headersMs },
  });
  return {
    request: (url, method, headers, signal) =>
      request(url, {
        method,
        headers: { "user-agent": "clavis", "accept-encoding": "identity", ...headers },
        dispatcher,
        signal,
      }),
    close: () => dispatcher.destroy(),
  };
}

function answerOf(url: URL, { statusCode, headers, body }: Dispatcher.ResponseData): Answer {
  return {
    url,
    status: statusCode,
    header(name) {
      const value = headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
    body,
    discard() {
      body.on("error", () => {}).destroy();
    },
  };
}
