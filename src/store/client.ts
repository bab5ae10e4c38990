import type { ClavisError } from "../errors.ts";
import { badEndpoint, badRedirect, forbidden, missing, refused, tooMany, unauthorized } from "./errors.ts";
import { Passing } from "./retry.ts";

// What a download needs of HTTP, whoever speaks it: Node's client or a browser's fetch.

/** The hub, and what proves who asks. */
export interface Hub {
  /** Without a slash at its end. */
  readonly endpoint: URL;
  /** Sent to the host of `endpoint` and to no other. */
  readonly token?: string;
}

/** @throws ClavisError `net.endpoint` for what is no address of a hub */
export function endpointOf(text: string): URL {
  let url: URL;
  try {
    url = new URL(text.replace(/\/+$/, ""));
  } catch {
    throw badEndpoint(text);
  }
  if (!/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") throw badEndpoint(text);
  return url;
}

/** Sends requests. */
export interface Client {
  /**
   * Sends a request; every status is an answer.
   *
   * @throws ClavisError `net.*`; the signal's reason once it is aborted
   */
  request(url: URL, options?: RequestOptions): Promise<Answer>;
  /** Ends idle connections. */
  close(): Promise<void>;
  /** Whether servers have to expose headers for them to be seen, as in a page. */
  readonly hidesHeaders?: boolean;
}

/** An answer whose body has yet to be read: read it, or discard it. */
export interface Answer {
  /** Where it came from, after redirects. */
  readonly url: URL;
  readonly status: number;
  header(name: string): string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  /** Ends an answer whose body nobody wants, and with it the connection. */
  discard(): void;
}

export interface RequestOptions {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * How redirects are taken. Default: all are followed; `ownHost` hands out one to another host as the answer;
   * pages cannot, because their browser follows all.
   */
  readonly redirects?: "follow" | "ownHost";
  readonly signal?: AbortSignal;
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

/** The error for an answer that is none of those that were hoped for; {@link Passing} where another try may help. */
export function refusal(answer: Answer, what: string, { token }: Pick<Hub, "token">): ClavisError | Passing {
  const { host } = answer.url;
  const code = answer.header("x-error-code");
  switch (answer.status) {
    case 401:
      return unauthorized(what, host, token !== undefined);
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
