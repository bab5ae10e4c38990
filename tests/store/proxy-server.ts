import { createServer, type IncomingMessage, type ServerResponse, request as send } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";

/** What a proxy was asked, and with which authorisations. */
export interface Asked {
  readonly method: string;
  /** `host:port` of a tunnel, the address of anything else. */
  readonly target: string;
  readonly proxyAuthorization?: string;
  /** Of requests in the clear: what the proxy gets to read. */
  readonly authorization?: string;
}

/** A proxy on the loopback interface: tunnels, and plain http in the clear. */
export class ProxyServer {
  readonly asked: Asked[] = [];
  /** `user:password` that it wants. */
  credentials: string | undefined;
  /** Answers every request with this status. */
  status: number | undefined;
  /** Takes connections, and says nothing. */
  silent = false;
  /** Where a host and port are in truth; default: the same port of the loopback interface. */
  readonly routes = new Map<string, number>();
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((request, response) => this.#forward(request, response));

  static async start(): Promise<ProxyServer> {
    const proxy = new ProxyServer();
    proxy.#server.on("connection", (socket) => {
      proxy.#sockets.add(socket);
      socket.on("close", () => proxy.#sockets.delete(socket));
    });
    proxy.#server.on("connect", (request, socket) => proxy.#tunnel(request, socket));
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    // Tunnels are no connections of the server any more.
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Notes a request, and says with which status it is refused. */
  #refuses({ method, url, headers }: IncomingMessage): number | undefined {
    const { "proxy-authorization": proxyAuthorization, authorization } = headers;
    this.asked.push({ method: method!, target: url!, proxyAuthorization, authorization });
    if (this.status !== undefined) return this.status;
    const wanted = this.credentials && `Basic ${Buffer.from(this.credentials).toString("base64")}`;
    return wanted !== undefined && proxyAuthorization !== wanted ? 407 : undefined;
  }

  #port(target: string): number {
    return this.routes.get(target) ?? Number(target.split(":").at(-1));
  }

  #tunnel(request: IncomingMessage, socket: Duplex): void {
    const refusal = this.#refuses(request);
    socket.on("error", () => {});
    if (this.silent) return;
    if (refusal !== undefined) return void socket.end(`HTTP/1.1 ${refusal} No\r\n\r\n`);
    const tunnel = connect(this.#port(request.url!), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      tunnel.pipe(socket).pipe(tunnel);
    });
    tunnel.on("error", () => socket.destroy());
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    const refusal = this.#refuses(request);
    response.on("error", () => {});
    if (this.silent) return;
    if (refusal !== undefined) return void response.writeHead(refusal).end();
    const { host, pathname, search, port } = new URL(request.url!);
    const { "proxy-authorization": _, ...headers } = request.headers;
    const onward = send(
      {
        host: "127.0.0.1",
        port: this.#port(port === "" ? `${host}:80` : host),
        path: pathname + search,
        method: request.method,
        headers,
      },
      (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on("error", () => response.destroy());
    onward.end();
  }
}
