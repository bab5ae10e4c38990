// How fast does a pull go when the network does not hold it back, and how much memory does it take?
// The server is a process of its own on the loopback interface; the digest is part of it.
//   node bench/pull.mjs [MiB]        after npm run build; prints one line of JSON

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const mebibytes = Number(process.argv[2] ?? 1024);
const piece = Buffer.alloc(2 ** 20, "GGUF");

if (process.argv[3] === "serve") serve();
else await measure();

function serve() {
  const size = mebibytes * piece.length;
  const hash = createHash("sha256");
  for (let i = 0; i < mebibytes; i++) hash.update(piece);
  const etag = hash.digest("hex");
  const server = createServer((request, response) => {
    const headers = { "x-repo-commit": "a".repeat(40), "x-linked-etag": etag, "x-linked-size": size };
    if (request.method === "HEAD") return response.writeHead(200, headers).end();
    if (request.url.startsWith("/api/"))
      return response.end(JSON.stringify([{ type: "file", path: "bench.gguf", size }]));
    const [, start, end] = /(\d+)-(\d+)/.exec(request.headers.range).map(Number);
    const range = `bytes ${start}-${end}/${size}`;
    response.writeHead(206, { "content-length": end + 1 - start, "content-range": range });
    let at = start;
    const send = () => {
      while (at <= end) {
        const from = at % piece.length;
        const length = Math.min(piece.length - from, end + 1 - at);
        at += length;
        if (!response.write(piece.subarray(from, from + length))) return response.once("drain", send);
      }
      response.end();
    };
    send();
  });
  server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
}

async function measure() {
  const server = spawn(process.execPath, [process.argv[1], String(mebibytes), "serve"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const folder = mkdtempSync(join(tmpdir(), "clavis-bench-pull-"));
  try {
    const port = await new Promise((resolve) => server.stdout.once("data", (text) => resolve(Number(text))));
    const variables = { HF_ENDPOINT: `http://127.0.0.1:${port}`, HF_HOME: folder, XDG_CACHE_HOME: folder };
    Object.assign(process.env, variables, { NO_PROXY: "127.0.0.1" });
    const { pull } = await import("../dist/node/index.js");
    const beforeKiB = process.resourceUsage().maxRSS;
    const start = performance.now();
    await pull("hf.co/org/bench/bench.gguf");
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage();
    const cpuSeconds = (user + system) / 1e6;
    const mbPerS = Math.round((mebibytes * piece.length) / 1e6 / seconds);
    const addedMiB = Math.round((process.resourceUsage().maxRSS - beforeKiB) / 1024);
    console.log(
      JSON.stringify({ mebibytes, seconds: Number(seconds.toFixed(2)), mbPerS, cpuSeconds, addedMiB }),
    );
  } finally {
    server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
