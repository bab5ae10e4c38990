// Serves this example: node examples/browser/serve.mjs [PORT], after `npm run build`.
//
// The two headers make the page cross-origin isolated, without which a browser gives no shared memory and
// Clavis computes on one thread. Any web server that sends them will do; range requests are optional.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folders = { clavis: "dist/browser", models: "models", example: "examples/browser" };
const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname === "/") return response.writeHead(302, { Location: "/example/index.html" }).end();
  const [, folder, ...rest] = pathname.split("/");
  const path = Object.hasOwn(folders, folder) && join(root, folders[folder], ...rest);
  if (!path || !existsSync(path) || !statSync(path).isFile()) return response.writeHead(404).end();
  response.writeHead(200, {
    "Content-Type": types[extname(path)] ?? "application/octet-stream",
    "Content-Length": statSync(path).size,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
  });
  createReadStream(path).pipe(response);
});

server.listen(Number(process.argv[2] ?? 8080), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
