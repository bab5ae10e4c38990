import type { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import type { ClavisError } from "../errors.ts";
import { badRedirect, forbidden, missing, refused, tooMany, unauthorized, unreachable } from "./errors.ts";
import { Passing } from "./retry.ts";
import type { Settings } from "./settings.ts";

/** An answer whose body has yet to be read: read it, or destroy it. */
export interface Answer {
  /** Where it came from, after redirects. */
  readonly url: URL;
  readonly status: number;
  header(name: string): string | undefined;
  readonly body: Readable;
}

export interface RequestOptions {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  /** How redirects are taken. Default: all are followed; `ownHost` hands out one to another host as the answer. */
  readonly redirects?: "follow" | "ownHost";
  readonly signal?: AbortSignal;
}

const mostRedirects = 10;

/**
 * Requests as a download needs them: through the proxies that the environment names, with redirects followed
 * by hand, so that the token goes to the hub's own origin and to no other.
 */
export class Network {
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
      discard(answer);
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

/** @throws ClavisError `net.redirect` for what is no http address, and for a step from https down to http */
export function redirectTarget(from: URL, location: string): URL {
  let target: URL;
  try {
    target = new URL(location, from);
  } catch {
    throw badRedirect(from.host, location);
  }
  const kept = target.protocol === "https:" || (target.protocol === "http:" && from.protocol === "http:");
  if (!kept || target.username !== "" || target.password !== "") throw badRedirect(from.host, location);
  return target;
}

/** A signal that aborts with the given one, and after a time. */
export function within(ms: number, signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(ms);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

/** Ends an answer whose body nobody wants, and with it the connection. */
export function discard(answer: Answer): void {
  answer.body.on("error", () => {});
  answer.body.destroy();
}

/** The error for an answer that is none of those that were hoped for; {@link Passing} where another try may help. */
export function refusal(answer: Answer, what: string, settings: Settings): ClavisError | Passing {
  const { host } = answer.url;
  const code = answer.header("x-error-code");
  switch (answer.status) {
    case 401:
      return unauthorized(what, host, settings.token !== undefined);
    case 403:
      return forbidden(what, host, code === "GatedRepo");
    case 404:
    case 410:
      return missing(what, host);
    case 429:
      return new Passing(tooMany(host, retryAfterMs(answer)), retryAfterMs(answer));
    default: {
      const error = refused(what, host, answer.status);
      const passes = answer.status >= 500 || answer.status === 408;
      return passes ? new Passing(error, retryAfterMs(answer)) : error;
    }
  }
}

/** The wait that a server asks for, in seconds or as a date (RFC 9110, section 10.2.3). */
export function retryAfterMs(answer: Answer): number | undefined {
  const text = answer.header("retry-after");
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
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
  };
}
