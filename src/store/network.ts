import type { Dispatcher } from "undici";
import { ClavisError } from "../errors.ts";
import { type Answer, type Client, type RequestOptions, redirectTarget } from "./client.ts";
import { badRedirect, proxyRefused, unreachable, unreachableThrough, untrusted } from "./errors.ts";
import { type ProxyServer, type ProxyVariables, proxyFor } from "./proxy.ts";
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
   * @throws ClavisError `net.unreachable`, which another try may mend, `net.certificate`, `net.proxy`,
   *   `net.redirect`; the signal's reason once it is aborted
   */
  async request(url: URL, options: RequestOptions = {}): Promise<Answer> {
    const { method = "GET", redirects = "follow", signal } = options;
    this.#agent ??= requester(this.#settings.proxies, this.#headersMs);
    const { send } = await this.#agent;
    let at = url;
    for (let hop = 0; hop <= mostRedirects; hop++) {
      let response: Dispatcher.ResponseData;
      try {
        response = await send(at, method, { ...options.headers, ...this.#token(at) }, signal);
      } catch (error) {
        // A time that ran out is the server's doing; any other reason to abort is the caller's.
        const timedOut = (signal?.reason as { name?: string } | undefined)?.name === "TimeoutError";
        if (!timedOut) signal?.throwIfAborted();
        throw error;
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

type Send = (
  url: URL,
  method: "GET" | "HEAD",
  headers: Record<string, string>,
  signal?: AbortSignal,
) => Promise<Dispatcher.ResponseData>;

interface Requester {
  readonly send: Send;
  close(): Promise<void>;
}

/** Loaded when first needed: a model that is a file never pays for it. */
async function requester(variables: ProxyVariables, headersMs: number): Promise<Requester> {
  const { Agent, ProxyAgent, request } = await import("undici");
  // Pauses within a body are the watchdog's matter, so the client's own limit is off.
  const limits = { headersTimeout: headersMs, bodyTimeout: 0 };
  const direct = new Agent({ ...limits, connect: { timeout: headersMs } });
  const proxies = new Map<string, Dispatcher>();
  const through = ({ url, authorization: token }: ProxyServer): Dispatcher => {
    let agent = proxies.get(url.href);
    if (agent === undefined) {
      const tls = { timeout: headersMs };
      // Plain http is asked of the proxy itself (RFC 9112, section 3.2.2): many allow tunnels to port 443 alone.
      agent = new ProxyAgent({
        uri: url.href,
        token,
        proxyTunnel: false,
        proxyTls: tls,
        requestTls: tls,
        ...limits,
      });
      proxies.set(url.href, agent);
    }
    return agent;
  };
  return {
    async send(url, method, headers, signal) {
      const proxy = proxyFor(url, variables);
      const late = new AbortController();
      // Connecting has the same limit as answering; a proxy may be slow at either.
      const limitMs = 2 * headersMs;
      const timer = setTimeout(() => late.abort(new Error(`${limitMs / 1000} s passed`)), limitMs);
      const signals = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
      try {
        const response = await orAborted(
          signals,
          request(url, {
            method,
            headers: { "user-agent": "clavis", "accept-encoding": "identity", ...headers },
            dispatcher: proxy === undefined ? direct : through(proxy),
            signal: signals,
          }),
        );
        if (proxy !== undefined && response.statusCode === 407) {
          response.body.on("error", () => {}).destroy();
          throw proxyRefused(proxy, url, 407);
        }
        return response;
      } catch (error) {
        throw error instanceof ClavisError ? error : failureOf(url, proxy, error);
      } finally {
        clearTimeout(timer);
      }
    },
    async close() {
      await Promise.all([direct, ...proxies.values()].map((agent) => agent.destroy()));
    },
  };
}

/** The client hears of a signal only once it is connected; whoever waits shall not wait for that. */
function orAborted(
  signal: AbortSignal,
  answer: Promise<Dispatcher.ResponseData>,
): Promise<Dispatcher.ResponseData> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      answer.then(({ body }) => body.on("error", () => {}).destroy()).catch(() => {});
      reject(signal.reason);
    };
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** What keeps a secure connection from being trusted; trying again does not help. */
const certificateCodes =
  /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET|VERIFY|DECRYPT|DECODE)_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE))/;

/** Why there was no answer, from what the client says. */
function failureOf(url: URL, proxy: ProxyServer | undefined, error: unknown): ClavisError {
  const { code = "", message = "" } = error as NodeJS.ErrnoException;
  const cause = (error as { cause?: NodeJS.ErrnoException }).cause;
  if (certificateCodes.test(code)) return untrusted(url.host, code, error);
  if (certificateCodes.test(cause?.code ?? ""))
    return untrusted(proxy?.url.host ?? url.host, cause!.code!, cause);
  if (proxy === undefined) return unreachable(url.host, error);
  const status = /^Proxy (?:response|Authentication Required) \((\d{3})\)/.exec(message)?.[1];
  if (status !== undefined) return proxyRefused(proxy, url, Number(status));
  return unreachableThrough(url.host, proxy, error);
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
