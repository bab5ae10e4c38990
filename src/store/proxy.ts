import { BlockList, isIP } from "node:net";
import { badProxy } from "./errors.ts";

/** The values of the variables that name proxies, as they are set; read when an address is asked for. */
export interface ProxyVariables {
  readonly https?: string;
  readonly http?: string;
  readonly all?: string;
  readonly none?: string;
}

/** A server that stands between this machine and others. */
export interface ProxyServer {
  /** Without user name and password. */
  readonly url: URL;
  /** The value of Proxy-Authorization. */
  readonly authorization?: string;
  /** The variable that named it, for messages. */
  readonly variable: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; the name in lower case goes first, as with curl. */
export function proxyVariables(environment: Environment): ProxyVariables {
  const value = (name: string) => (environment[name.toLowerCase()] ?? environment[name])?.trim() || undefined;
  return {
    https: value("HTTPS_PROXY"),
    http: value("HTTP_PROXY"),
    all: value("ALL_PROXY"),
    none: value("NO_PROXY"),
  };
}

/**
 * The proxy through which an address is asked: the one for its scheme, else the one for all, unless NO_PROXY has
 * the host.
 *
 * @throws ClavisError `net.proxy` for a variable that names none; it does not repeat what the variable says
 */
export function proxyFor(url: URL, variables: ProxyVariables): ProxyServer | undefined {
  const own = url.protocol === "https:" ? variables.https : variables.http;
  const text = own ?? variables.all;
  if (text === undefined || isExcepted(url, variables.none ?? "")) return undefined;
  const variable = own === undefined ? "ALL_PROXY" : url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  let proxy: URL;
  try {
    proxy = new URL(text.includes("://") ? text : `http://${text}`);
  } catch {
    throw badProxy(variable, "is no address");
  }
  const { protocol, hostname, username, password } = proxy;
  if (!/^https?:$/.test(protocol))
    throw badProxy(variable, `names a proxy that speaks ${protocol.slice(0, -1)}`);
  if (hostname === "") throw badProxy(variable, "names no host");
  const authorization =
    username === "" && password === ""
      ? undefined
      : `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString("base64")}`;
  return { url: new URL(`${protocol}//${proxy.host}`), authorization, variable };
}

/** Passwords with a percent sign are often written as they are. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Whether NO_PROXY has the host: `*`, the host itself or a domain above it (with or without a dot in front), an
 * address, or a range of addresses as `10.0.0.0/8`; each with a port behind it where only that is meant.
 */
function isExcepted(url: URL, list: string): boolean {
  const host = url.hostname.toLowerCase().replace(/^\[|\]$/g, "");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === "*") return true;
      if (isIP(host) && entry.includes("/")) return isInRange(host, entry);
      const [, name, atPort] = /^(\[.+\]|[^:]+):(\d+)$/.exec(entry) ?? [undefined, entry, port];
      const plain = name!.replace(/^\[|\]$/g, "").replace(/^\*?\./, "");
      return atPort === port && (host === plain || (isIP(host) === 0 && host.endsWith(`.${plain}`)));
    });
}

function isInRange(host: string, range: string): boolean {
  const [network, prefix] = range.split("/");
  const family = isIP(network);
  if (family === 0 || family !== isIP(host) || !/^\d{1,3}$/.test(prefix)) return false;
  if (Number(prefix) > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? "ipv4" : "ipv6";
  const block = new BlockList();
  block.addSubnet(network, Number(prefix), type);
  return block.check(host, type);
}
