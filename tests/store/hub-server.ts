import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Server as TlsServer } from "node:tls";

/** What goes wrong with one answer. */
export type Fault =
  /** The connection ends after so many bytes of the body. */
  | { readonly kind: "cut"; readonly after: number }
  /** No byte comes any more after so many. */
  | { readonly kind: "stall"; readonly after: number }
  /** Everything, but so many bytes every 10 ms. */
  | { readonly kind: "slow"; readonly bytes: number }
  /** A few bytes at a time, far below what counts as moving. */
  | { readonly kind: "trickle" }
  | { readonly kind: "status"; readonly status: number; readonly retryAfter?: string }
  /** The whole file where a range was asked for. */
  | { readonly kind: "whole" }
  /** So many bytes of the body are other ones. */
  | { readonly kind: "flip"; readonly at: number }
  /** Content-Length says so many bytes more, or less, than come. */
  | { readonly kind: "length"; readonly by: number }
  /** Content-Range speaks of another range. */
  | { readonly kind: "range"; readonly by: number }
  | { readonly kind: "reset" };

/** Which requests: the file list or the commit of a branch, HEAD at the hub, the bytes at the other host. */
export type Stage = "list" | "head" | "bytes";

/** What the hub lets pages see of its answers. Source: its answers of October 2026. */
const exposedByHub =
  "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash";

export interface Seen {
  readonly stage: Stage | "other";
  readonly method: string;
  /** The origin that was asked. */
  readonly host: string;
  readonly url: string;
  readonly range?: string;
  readonly authorization?: string;
}

export interface HubFileSpec {
  readonly bytes: Uint8Array;
  /** Served as the digest in place of the right one. */
  readonly etag?: string;
  /** Headers of HEAD that replace or, with undefined, drop those that are right. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** A small file, which git keeps itself: its ETag is git's digest, and the hub serves it. */
  readonly small?: boolean;
}

/** A certificate and its key, in PEM. */
export interface Tls {
  readonly cert: string;
  readonly key: string;
}

/**
 * A server on the loopback interface that answers as the Hugging Face hub does: file lists, HEAD with
 * X-Repo-Commit, X-Linked-Etag and X-Linked-Size, and a redirect to another host, where the bytes are served by
 * ranges. `next` decides, request by request, what goes wrong.
 */
export class HubServer {
  readonly files = new Map<string, HubFileSpec>();
  readonly seen: Seen[] = [];
  /** Bytes of bodies that were sent slowly, so far. */
  sent = 0;
  commit = "a".repeat(40);
  /** A token that the hub wants; without it, 401. */
  token: string | undefined;
  next: (stage: Stage, request: IncomingMessage) => Fault | undefined = () => undefined;
  /** Whether bytes come from the other host, as large files do. */
  redirects = true;
  /** What the host of the bytes lets pages see: all, as the hub's does, or nothing. */
  exposes: "*" | undefined = "*";
  /** The hub and the host of the bytes: two ports, so two origins. */
  #hub!: Server;
  #bytes!: Server;

  /** Over https, under the name `localhost`, where certificates are given for the hub and the other host. */
  static async start(tls: { readonly hub?: Tls; readonly bytes?: Tls } = {}): Promise<HubServer> {
    const server = new HubServer();
    const answer = (isHub: boolean) => (request: IncomingMessage, response: ServerResponse) => {
      response.on("error", () => {});
      server.#answer(request, response, isHub);
    };
    const serve = (isHub: boolean, own: Tls | undefined) =>
      own ? createTlsServer({ ...own }, answer(isHub)) : createServer(answer(isHub));
    server.#hub = serve(true, tls.hub);
    server.#bytes = serve(false, tls.bytes);
    for (const one of [server.#hub, server.#bytes])
      await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
    return server;
  }

  /** As it was at the start, without files; for between tests. */
  reset(): void {
    this.files.clear();
    this.seen.length = 0;
    this.next = () => undefined;
    this.token = undefined;
    this.redirects = true;
    this.commit = "a".repeat(40);
  }

  get endpoint(): string {
    return origin(this.#hub);
  }

  get bytesOrigin(): string {
    return origin(this.#bytes);
  }

  /** Adds a file at `owner/repo/path`. */
  add(path: string, bytes: Uint8Array, spec: Omit<HubFileSpec, "bytes"> = {}): string {
    this.files.set(path, { bytes, ...spec });
    return sha256(bytes);
  }

  /** Waits until something has come to pass here. */
  async until(condition: () => boolean): Promise<void> {
    for (let looks = 0; !condition(); looks++) {
      if (looks === 1000) throw new Error("waited for 20 s");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async close(): Promise<void> {
    for (const one of [this.#hub, this.#bytes]) {
      one.closeAllConnections();
      await new Promise((resolve) => one.close(resolve));
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse, isHub: boolean): void {
    const url = new URL(request.url!, this.endpoint);
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(tree|revision)\/[^/]+$/.exec(url.pathname);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/[^/]+\/(.+)$/.exec(url.pathname);
    const stage: Seen["stage"] = api ? "list" : isHub && request.method === "HEAD" ? "head" : "bytes";
    const { authorization, range } = request.headers;
    const host = isHub ? this.endpoint : this.bytesOrigin;
    this.seen.push({ stage, method: request.method!, host, url: request.url!, range, authorization });
    if (this.#cors(request, response, isHub)) return;
    const fault = this.next(stage, request);
    if (fault?.kind === "reset") return void request.socket.destroy();
    if (fault?.kind === "status") {
      if (fault.retryAfter !== undefined) response.setHeader("retry-after", fault.retryAfter);
      response.writeHead(fault.status, { "content-length": "0" });
      return void response.end();
    }
    if (isHub && this.token !== undefined && authorization !== `Bearer ${this.token}`) {
      response.writeHead(401, { "x-error-code": "RepoNotFound" });
      return void response.end();
    }
    if (api?.[2] === "revision") {
      response.writeHead(200, { "content-type": "application/json" });
      return void response.end(JSON.stringify({ id: api[1], sha: this.commit }));
    }
    if (api) return void this.#list(api[1], response);
    const spec = file && this.files.get(decodeURIComponent(`${file[1]}/${file[2]}`));
    if (!spec) {
      response.writeHead(404, { "x-error-code": "EntryNotFound" });
      return void response.end();
    }
    const describes = request.method === "HEAD" || (this.redirects && !spec.small);
    if (isHub && describes) this.#describe(spec, url, response);
    else sendBytes(spec, request, response, fault, (bytes) => (this.sent += bytes));
  }

  /**
   * What pages of other origins may do: with the hub all, with the host of the bytes only requests that need not
   * be asked for beforehand. Whether the answer is complete with that.
   */
  #cors({ method, headers }: IncomingMessage, response: ServerResponse, isHub: boolean): boolean {
    if (headers.origin === undefined) return false;
    response.setHeader("access-control-allow-origin", isHub ? headers.origin : "*");
    const exposed = isHub ? exposedByHub : this.exposes;
    if (exposed !== undefined) response.setHeader("access-control-expose-headers", exposed);
    if (method !== "OPTIONS") return false;
    if (isHub) response.setHeader("access-control-allow-headers", "authorization");
    response.writeHead(isHub ? 204 : 403);
    response.end();
    return true;
  }

  #list(repo: string, response: ServerResponse): void {
    const entries = [...this.files]
      .filter(([path]) => path.startsWith(`${repo}/`))
      .map(([path, { bytes, etag, small }]) => ({
        type: "file",
        path: path.slice(repo.length + 1),
        size: bytes.length,
        lfs: small ? undefined : { oid: etag ?? sha256(bytes), size: bytes.length },
      }));
    response.writeHead(entries.length > 0 ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify([{ type: "directory", path: "folder" }, ...entries]));
  }

  #describe({ bytes, etag, headers, small }: HubFileSpec, url: URL, response: ServerResponse): void {
    const large = {
      "x-linked-etag": `"${etag ?? sha256(bytes)}"`,
      "x-linked-size": String(bytes.length),
      location: this.redirects ? `${this.bytesOrigin}${url.pathname}` : undefined,
    };
    const own = { etag: `"${etag ?? gitSha1(bytes)}"`, "content-length": String(bytes.length) };
    const right: Record<string, string | undefined> = {
      "x-repo-commit": this.commit,
      ...(small ? own : large),
      ...headers,
    };
    for (const [name, value] of Object.entries(right))
      if (value !== undefined) response.setHeader(name, value);
    response.writeHead(right.location === undefined ? 200 : 302);
    response.end();
  }
}

/** Serves bytes by ranges, with one fault. */
function sendBytes(
  { bytes }: HubFileSpec,
  request: IncomingMessage,
  response: ServerResponse,
  fault: Fault | undefined,
  sent: (bytes: number) => void,
): void {
  const asked = fault?.kind === "whole" ? null : /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  const start = Number(asked?.[1] ?? 0);
  const end = Math.min(Number(asked?.[2] ?? bytes.length - 1) + 1, bytes.length);
  if (asked && start >= bytes.length) {
    response.writeHead(416, { "content-range": `bytes */${bytes.length}` });
    return void response.end();
  }
  let body = bytes.subarray(start, end);
  if (fault?.kind === "flip" && body.length > 0) {
    body = Uint8Array.from(body);
    body[fault.at % body.length] ^= 0xff;
  }
  const lie = fault?.kind === "length" ? fault.by : 0;
  const headers: Record<string, string> = {
    "content-length": String(Math.max(0, body.length + lie)),
    etag: `"of-the-other-host"`,
    "accept-ranges": "bytes",
  };
  if (asked) {
    const by = fault?.kind === "range" ? fault.by : 0;
    headers["content-range"] = `bytes ${start + by}-${end - 1 + by}/${bytes.length}`;
  }
  response.strictContentLength = false;
  response.writeHead(asked ? 206 : 200, headers);
  if (request.method === "HEAD") return void response.end();
  if (fault?.kind === "cut")
    return void response.write(body.subarray(0, fault.after), () => request.socket.destroy());
  if (fault?.kind === "stall") return void response.write(body.subarray(0, fault.after));
  if (fault?.kind === "length") return void response.write(body, () => request.socket.end());
  if (fault?.kind === "trickle" || fault?.kind === "slow") {
    const step = fault.kind === "slow" ? fault.bytes : 1;
    let at = 0;
    const timer = setInterval(() => {
      if (at >= body.length || response.destroyed) {
        clearInterval(timer);
        return void response.end();
      }
      response.write(body.subarray(at, at + step));
      sent(Math.min(step, body.length - at));
      at += step;
    }, 10);
    return;
  }
  response.end(body);
}

function origin(server: Server): string {
  const { port } = server.address() as AddressInfo;
  return server instanceof TlsServer ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
}

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const gitSha1 = (bytes: Uint8Array) =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
