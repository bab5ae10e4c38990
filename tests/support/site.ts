import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

/** A web server of this machine. */
export interface Site {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  /** Every request so far: path with query, and the range asked for. */
  readonly requests: readonly { readonly path: string; readonly range: string | undefined }[];
  close(): Promise<void>;
}

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

/**
 * Serves folders as `/isolated/NAME/…`, with the headers that make a page cross-origin isolated, and as
 * `/plain/NAME/…` without. Serves ranges, except where the query is `?whole`.
 */
export async function openSite(folders: Readonly<Record<string, string>>): Promise<Site> {
  const requests: { path: string; range: string | undefined }[] = [];
  const server = createServer(async (request, response) => {
    const { pathname, search } = new URL(request.url!, "http://localhost");
    const range = search === "?whole" ? undefined : request.headers.range;
    requests.push({ path: request.url!, range });
    const [, kind, name, ...rest] = pathname.split("/").map(decodeURIComponent);
    const path = folders[name] && join(folders[name], ...rest);
    const size =
      path &&
      (await stat(path)
        .then((file) => file.isFile() && file.size)
        .catch(() => false));
    if (typeof size !== "number") {
      response.writeHead(404).end();
      return;
    }
    if (kind === "isolated") {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    response.setHeader("Content-Type", types[extname(path!)] ?? "application/octet-stream");
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
    if (from === undefined) {
      response.writeHead(200, { "Content-Length": size });
      createReadStream(path!).pipe(response);
      return;
    }
    const [start, end] = [Number(from), Math.min(to ? Number(to) : size, size - 1)];
    if (start > end) {
      response.writeHead(416, { "Content-Range": `bytes */${size}` }).end();
      return;
    }
    response.writeHead(206, {
      "Content-Range": `bytes ${start}-${end}/${size}`,
      "Content-Length": end - start + 1,
    });
    createReadStream(path!, { start, end }).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
