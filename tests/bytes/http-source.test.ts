import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { openModelUrls, openUrl } from "../../src/bytes/http-source.ts";
import { read } from "../../src/bytes/source.ts";

// Against a server in this process; in a browser the same file is tested by tests/browser.

const mib = 2 ** 20;
/** Three requests' worth, the last one short; every place in it is recognisable. */
const file = new Uint8Array(9 * mib + 12345);
for (let i = 0; i < file.length; i++) file[i] = (i * 31 + (i >> 13)) & 255;

let server: Server | undefined;
const asked: string[] = [];

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  asked.length = 0;
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<URL> {
  server = createServer((request, response) => {
    asked.push(request.headers.range ?? "whole");
    answer(request, response);
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/models/big%20one.gguf?token=1`);
}

/** Answers as a server should; `send` may do something else with the part. */
function ranged(
  bytes: Uint8Array,
  { etag = "a", send = (response: ServerResponse, part: Uint8Array) => void response.end(part) } = {},
) {
  return (request: IncomingMessage, response: ServerResponse) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    if (from === undefined) return void response.end(bytes);
    const [start, end] = [Number(from), Math.min(Number(to) + 1, bytes.length)];
    if (start >= bytes.length) {
      return void response.writeHead(416, { "Content-Range": `bytes */${bytes.length}` }).end();
    }
    const range = `bytes ${start}-${end - 1}/${bytes.length}`;
    response.writeHead(206, { "Content-Range": range, "Content-Length": end - start, ETag: etag });
    send(response, bytes.subarray(start, end));
  };
}

describe("source at an address", () => {
  test("gives size, name and any range, asking for blocks", async () => {
    const source = await openUrl(await serve(ranged(file)));
    expect([source.size, source.name]).toEqual([file.length, "big one.gguf"]);
    for (const [offset, length] of [
      [0, 10],
      [4 * mib - 3, 7],
      [file.length - 5, 5],
      [file.length, 0],
      [0, file.length],
    ]) {
      expect(Buffer.compare(await read(source, offset, length), file.subarray(offset, offset + length))).toBe(
        0,
      );
    }
    const blocks = ["bytes=0-4194303", "bytes=4194304-8388607", `bytes=8388608-${file.length - 1}`];
    expect([...asked].sort()).toEqual([...blocks].sort());
    await expect(read(source, file.length - 4, 5)).rejects.toMatchObject({ code: "source.range" });
    await source.close();
    await expect(read(source, 0, 1)).rejects.toMatchObject({ code: "source.closed" });
  });

  test("blocks that were dropped are asked for again", async () => {
    const large = new Uint8Array(40 * mib + 1).fill(7);
    const source = await openUrl(await serve(ranged(large)));
    for (let at = 0; at < large.length; at += 4 * mib) {
      expect(await read(source, at, 1)).toEqual(Uint8Array.of(7));
    }
    const before = asked.length;
    expect(before).toBe(11);
    await read(source, 0, 1);
    expect(asked.slice(before)).toEqual(["bytes=0-4194303"]);
    await source.close();
  });

  test("a server without ranges, or one that hides the size, is downloaded from", async () => {
    const plain = await openUrl(await serve((_, response) => void response.end(file)));
    expect(plain.size).toBe(file.length);
    expect(await read(plain, file.length - 3, 3)).toEqual(file.slice(-3));
    expect(asked).toEqual(["bytes=0-4194303"]);
    server!.close();
    asked.length = 0;
    const hidden = await openUrl(
      await serve((request, response) => {
        response.statusCode = request.headers.range ? 206 : 200;
        response.end(request.headers.range ? file.subarray(0, 4 * mib) : file);
      }),
    );
    expect(hidden.size).toBe(file.length);
    expect(asked).toEqual(["bytes=0-4194303", "whole"]);
  });

  test("an empty file has no bytes", async () => {
    const source = await openUrl(await serve(ranged(new Uint8Array(0))));
    expect(source.size).toBe(0);
  });

  test.each([
    [404, "source.missing"],
    [410, "source.missing"],
    [403, "source.http"],
    [500, "source.http"],
  ])("an answer of %i is %s", async (status, code) => {
    const url = await serve((_, response) => void response.writeHead(status).end());
    await expect(openUrl(url)).rejects.toMatchObject({ code });
  });

  test("no server is source.network", async () => {
    const url = await serve(() => {});
    await new Promise((resolve) => server!.close(resolve));
    await expect(openUrl(url)).rejects.toMatchObject({ code: "source.network" });
  });

  test.each<[string, (request: IncomingMessage, response: ServerResponse) => void, string]>([
    ["has another validator", ranged(file, { etag: "b" }), "source.changed"],
    ["has another size", ranged(file.subarray(0, -1)), "source.changed"],
    ["is sent whole", (_, response) => void response.end(file), "source.changed"],
    ["is shorter than the place asked for", ranged(file.subarray(0, 100)), "source.shrank"],
    ["is gone", (_, response) => void response.writeHead(404).end(), "source.missing"],
    [
      "breaks off",
      ranged(file, {
        send: (response, part) => void response.write(part.subarray(0, 1000), () => response.destroy()),
      }),
      "source.network",
    ],
    [
      "is longer than said",
      (_, response) => {
        response.writeHead(206, {
          "Content-Range": `bytes 8388608-${file.length - 1}/${file.length}`,
          ETag: "a",
        });
        response.end(file);
      },
      "source.changed",
    ],
  ])("a file that later %s is told", async (_, later, code) => {
    const right = ranged(file);
    const url = await serve((request, response) =>
      request.headers.range === "bytes=0-4194303" ? right(request, response) : later(request, response),
    );
    const source = await openUrl(url);
    await expect(read(source, 8 * mib, 10)).rejects.toMatchObject({ code });
    expect(await read(source, 10, 3)).toEqual(file.slice(10, 13));
    await source.close();
  });

  test("a read that failed may be tried again", async () => {
    let broken = true;
    const right = ranged(file);
    const url = await serve((request, response) => {
      if (request.headers.range === "bytes=0-4194303" || !broken) return right(request, response);
      response.writeHead(503).end();
    });
    const source = await openUrl(url);
    await expect(read(source, 8 * mib, 10)).rejects.toMatchObject({ code: "source.http" });
    broken = false;
    expect(await read(source, 8 * mib, 10)).toEqual(file.slice(8 * mib, 8 * mib + 10));
    await source.close();
  });

  test("close ends a read that waits", async () => {
    const right = ranged(file);
    const url = await serve((request, response) => {
      if (request.headers.range === "bytes=0-4194303") right(request, response);
    });
    const source = await openUrl(url);
    const waiting = read(source, 8 * mib, 10);
    await source.close();
    await expect(waiting).rejects.toMatchObject({ code: "source.closed" });
  });
});

describe("models at an address", () => {
  test("one part's address gives all, with the query of the one", async () => {
    const paths: string[] = [];
    const url = await serve((request, response) => {
      paths.push(request.url!);
      ranged(file.subarray(0, 100 + paths.length))(request, response);
    });
    url.pathname = "/models/a%20b-00002-of-00003.gguf";
    const sources = await openModelUrls(url);
    expect(sources.map(({ size }) => size)).toEqual([101, 102, 103]);
    expect(paths).toEqual([1, 2, 3].map((part) => `/models/a%20b-0000${part}-of-00003.gguf?token=1`));
  });

  test("a part that is not there is named; a wrong address is told plainly", async () => {
    const right = ranged(file);
    const url = await serve((request, response) => {
      if (request.url!.includes("00002-of")) response.writeHead(404).end();
      else right(request, response);
    });
    url.pathname = "/a-00003-of-00003.gguf";
    await expect(openModelUrls(url)).rejects.toMatchObject({
      code: "gguf.part_missing",
      found: expect.stringContaining("a-00002-of-00003.gguf"),
    });
    url.pathname = "/a-00002-of-00003.gguf";
    await expect(openModelUrls(url)).rejects.toMatchObject({ code: "source.missing" });
    url.pathname = "/a-00004-of-00003.gguf";
    await expect(openModelUrls(url)).rejects.toMatchObject({ code: "gguf.part_number" });
  });
});
