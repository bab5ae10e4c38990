// How fast does a page pull a model when the network does not hold it back? Headless Chromium with a profile on
// disk; the server is a process of its own on the loopback interface; digest and OPFS are part of it.
// More than about 1 GiB at this speed ends the renderer of Chromium 156, also where a page only fetches.
//   node bench/pull-browser.mjs [MiB]        after npm run build; prints one line of JSON
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const mebibytes = Number(process.argv[2] ?? 512);
const piece = Buffer.alloc(2 ** 20, "GGUF");
/** Pulls, and tells how long it took. The answer is never given, so that the threads are there to be looked at. */
const html = `<!doctype html><title>pull</title><script type="module">
import { pull } from "/browser/clavis.js";
let told;
try {
  const start = performance.now();
  await pull("o/m", { endpoint: location.origin });
  told = { seconds: (performance.now() - start) / 1000 };
} catch (error) {
  told = { error: String(error) };
}
await fetch("/told", { method: "POST", body: JSON.stringify(told) });
</script>`;

if (process.argv[3] === "serve") serve();
else await measure();

/** The page and its bundle, and a hub with one file. */
function serve() {
  const size = mebibytes * piece.length;
  const hash = createHash("sha256");
  for (let i = 0; i < mebibytes; i++) hash.update(piece);
  const oid = hash.digest("hex");
  const json = {
    "/api/models/o/m/revision/main": { sha: "a".repeat(40) },
    [`/api/models/o/m/tree/${"a".repeat(40)}`]: [{ type: "file", path: "m.gguf", size, lfs: { oid, size } }],
  };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const file = join("dist", pathname);
    if (pathname === "/") return response.writeHead(200, { "content-type": "text/html" }).end(html);
    if (pathname === "/told") {
      request.pipe(process.stdout);
      return request.once("end", () => process.stdout.write("\n"));
    }
    if (json[pathname]) return response.writeHead(200).end(JSON.stringify(json[pathname]));
    if (pathname.startsWith("/browser/") && existsSync(file)) {
      const type = file.endsWith(".js") ? "text/javascript" : "application/wasm";
      return response.writeHead(200, { "content-type": type }).end(readFileSync(file));
    }
    const [, start, end] = (/(\d+)-(\d+)/.exec(request.headers.range) ?? [0, 0, size - 1]).map(Number);
    const headers = { "content-length": end + 1 - start, "content-range": `bytes ${start}-${end}/${size}` };
    response.writeHead(206, headers);
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
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

async function measure() {
  const server = spawn(process.execPath, [import.meta.filename, String(mebibytes), "serve"]);
  const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  const port = (await lines.next()).value;
  const profile = mkdtempSync(join(tmpdir(), "clavis-pull-"));
  const options = ["--headless=new", "--no-sandbox", "--no-first-run", `--user-data-dir=${profile}`];
  // Not through the tools that drive browsers: those have it copy every answer for them.
  const browser = spawn(process.env.CLAVIS_CHROMIUM ?? "/usr/bin/chromium", [
    ...options,
    `http://127.0.0.1:${port}/`,
  ]);
  const threads = new Map();
  const peaks = new Map();
  const looking = setInterval(() => look(browser.pid, threads, peaks), 200);
  try {
    const told = JSON.parse((await lines.next()).value);
    if (told.error) throw new Error(told.error);
    const mbPerS = Math.round((mebibytes * piece.length) / 1e6 / told.seconds);
    const seconds = Number(told.seconds.toFixed(2));
    const busiest = [...threads.values()].sort((a, b) => b.cpuSeconds - a.cpuSeconds).slice(0, 4);
    const rendererPeakMiB = Math.round(Math.max(0, ...peaks.values()) / 1024);
    console.log(JSON.stringify({ mebibytes, seconds, mbPerS, rendererPeakMiB, busiest }));
  } finally {
    clearInterval(looking);
    browser.kill();
    server.kill();
    await once(browser, "exit");
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}

/**
 * Notes the processor time of all threads of a process and its children (of those that end, the last that was
 * seen), and the largest memory of each renderer in KiB.
 */
function look(pid, threads, peaks) {
  const read = (name) => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, "latin1");
    } catch {
      return ""; // ended meanwhile, or not Linux
    }
  };
  const kind = /--type=([a-z]+)/.exec(read("cmdline"))?.[1] ?? "browser";
  const peak = /VmHWM:\s+(\d+)/.exec(read("status"));
  if (kind === "renderer" && peak !== null) peaks.set(pid, Number(peak[1]));
  const ids = existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : [];
  for (const id of ids) {
    const stat = read(`task/${id}/stat`);
    const name = id === String(pid) ? "main" : stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const cpuSeconds = (Number(fields[11]) + Number(fields[12])) / 100;
    if (cpuSeconds > 0) threads.set(id, { thread: `${kind} ${name}`, cpuSeconds });
    for (const child of read(`task/${id}/children`).trim().split(/\s+/)) {
      if (child !== "") look(child, threads, peaks);
    }
  }
}
