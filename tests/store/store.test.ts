import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { list, remove } from "../../src/store/list.ts";
import { takeLock } from "../../src/store/lock.ts";
import type { PullEvent } from "../../src/store/options.ts";
import { originOf } from "../../src/store/origin.ts";
import { pull } from "../../src/store/pull.ts";
import { resolve } from "../../src/store/resolve.ts";
import { settingsFrom } from "../../src/store/settings.ts";
import { type Fault, HubServer, sha256 } from "./hub-server.ts";
import { emptyFolder, impatient, modelBytes, optionsFor } from "./store-folder.ts";

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.close());
beforeEach(() => hub.reset());

/** A file as huggingface_hub leaves it. */
function putLikeOthers(
  folder: string,
  repo: string,
  file: string,
  bytes: Uint8Array,
  commit = "b".repeat(40),
): string {
  const root = join(folder, "hf/hub", `models--${repo.replace("/", "--")}`);
  const blob = join(root, "blobs", sha256(bytes));
  const link = join(root, "snapshots", commit, file);
  for (const path of [join(root, "blobs"), join(root, "refs"), join(link, "..")])
    mkdirSync(path, { recursive: true });
  writeFileSync(blob, bytes);
  symlinkSync(join("../../blobs", sha256(bytes)), link);
  writeFileSync(join(root, "refs/main"), commit);
  return link;
}

describe("settings", () => {
  test("the cache's folder: HF_HUB_CACHE, then HF_HOME, then XDG_CACHE_HOME", () => {
    const all = { HF_HUB_CACHE: "/a", HF_HOME: "/b", XDG_CACHE_HOME: "/c" };
    expect(settingsFrom(all).hubFolder).toBe("/a");
    expect(settingsFrom({ ...all, HF_HUB_CACHE: "" }).hubFolder).toBe(join("/b", "hub"));
    expect(settingsFrom({ XDG_CACHE_HOME: "/c" }).hubFolder).toBe(join("/c", "huggingface/hub"));
    expect(settingsFrom({}).hubFolder).toMatch(/\.cache[/\\]huggingface[/\\]hub$/);
  });

  test("HF_ENDPOINT must be an address", () => {
    expect(() => settingsFrom({ HF_ENDPOINT: "ftp://x" })).toThrow("net.endpoint");
    expect(settingsFrom({ HF_ENDPOINT: "https://mirror.example/hf/" }).endpoint.href).toBe(
      "https://mirror.example/hf",
    );
  });

  test("a token is taken from the variable, else from the file of the login", () => {
    const file = (path: string) => (path === join("/h", "token") ? "from-file" : undefined);
    expect(settingsFrom({ HF_HOME: "/h" }, file).token).toBe("from-file");
    expect(settingsFrom({ HF_HOME: "/h", HF_TOKEN: "own" }, file).token).toBe("own");
    expect(settingsFrom({ HF_HOME: "/i" }, file).token).toBeUndefined();
  });
});

describe("files of other tools", () => {
  test("are found without the network, and checked once", async () => {
    const folder = emptyFolder();
    const link = putLikeOthers(folder, "org/other", "m-Q4_0.gguf", modelBytes(10_000));
    const events: PullEvent[] = [];
    const options = { ...optionsFor(hub, folder), onEvent: (event: PullEvent) => void events.push(event) };
    expect((await resolve("org/other", options)).path).toBe(link);
    expect(events.filter(({ type }) => type === "checking").length).toBeGreaterThan(0);
    events.length = 0;
    await resolve("org/other", options);
    expect(events).toEqual([]);
    await resolve("org/other", { ...options, verify: true });
    expect(events.filter(({ type }) => type === "checking").length).toBeGreaterThan(0);
    expect(hub.seen).toEqual([]);
  });

  test("that are damaged are refused, also after they were checked, and a pull replaces them", async () => {
    const folder = emptyFolder();
    const bytes = modelBytes(10_000);
    const link = putLikeOthers(folder, "org/other", "m-Q4_0.gguf", bytes);
    const options = optionsFor(hub, folder);
    await resolve("org/other", options);
    const wrong = Uint8Array.from(bytes);
    wrong[5000] ^= 1;
    writeFileSync(link, wrong);
    utimesSync(link, 1, 1);
    await expect(resolve("org/other", options)).rejects.toMatchObject({ code: "store.digest" });
    hub.add("org/other/m-Q4_0.gguf", bytes);
    const pulled = await pull("org/other", options);
    expect(pulled.downloadedBytes).toBe(10_000);
    expect(readFileSync((await resolve("org/other", options)).path).equals(bytes)).toBe(true);
  });

  test("a blob that is there is not downloaded for another commit", async () => {
    const folder = emptyFolder();
    const bytes = modelBytes(10_000);
    putLikeOthers(folder, "org/other", "m-Q4_0.gguf", bytes);
    hub.add("org/other/m-Q4_0.gguf", bytes);
    expect((await pull("org/other", optionsFor(hub, folder))).downloadedBytes).toBe(0);
    expect(hub.seen.filter(({ stage }) => stage === "bytes")).toEqual([]);
  });

  test("their partial files are left alone", async () => {
    const folder = emptyFolder();
    const bytes = modelBytes(10_000);
    const digest = hub.add("org/other/m-Q4_0.gguf", bytes);
    const blobs = join(folder, "hf/hub/models--org--other/blobs");
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${digest}.incomplete`), bytes.subarray(0, 100));
    await pull("org/other", optionsFor(hub, folder));
    expect(statSync(join(blobs, `${digest}.incomplete`)).size).toBe(100);
  });

  test("with HF_HUB_OFFLINE what is there is used, and nothing is asked", async () => {
    const folder = emptyFolder();
    putLikeOthers(folder, "org/other", "m-Q4_0.gguf", modelBytes(10_000));
    const options = optionsFor(hub, folder, { HF_HUB_OFFLINE: "1" });
    expect((await pull("org/other", options)).downloadedBytes).toBe(0);
    await expect(pull("org/more", options)).rejects.toMatchObject({ code: "net.offline" });
    expect(hub.seen).toEqual([]);
  });
});

describe("list and remove", () => {
  test("a blob that another commit needs stays until that is gone too", async () => {
    const folder = emptyFolder();
    const shared = modelBytes(10_000);
    hub.add("org/tiny/a-Q4_0.gguf", shared);
    const options = optionsFor(hub, folder);
    await pull("org/tiny:Q4_0", options);
    // The next commit has the same bytes under another name as well.
    hub.commit = "c".repeat(40);
    hub.add("org/tiny/b-Q8_0.gguf", shared);
    await pull("org/tiny:Q8_0", options);
    const blobs = join(folder, "hf/hub/models--org--tiny/blobs");
    expect(readdirSync(blobs)).toHaveLength(1);
    expect((await list(options)).map(({ name }) => name)).toEqual([
      "stories",
      "org/tiny:Q4_0",
      "org/tiny:Q8_0",
    ]);
    await expect(remove("org/tiny", options)).rejects.toMatchObject({ code: "model.ambiguous" });
    expect(await remove("org/tiny:Q4_0", options)).toEqual({ models: ["org/tiny:Q4_0"], freedBytes: 0 });
    expect(readFileSync((await resolve("org/tiny", options)).path).equals(shared)).toBe(true);
    expect(await remove("org/tiny", options)).toEqual({ models: ["org/tiny:Q8_0"], freedBytes: 10_000 });
    expect(existsSync(join(folder, "hf/hub/models--org--tiny"))).toBe(false);
    await expect(remove("org/tiny", options)).rejects.toMatchObject({ code: "model.not_local" });
  });

  test("an older commit serves for what the newest one was not pulled of", async () => {
    const options = optionsFor(hub, emptyFolder());
    hub.add("org/tiny/a-Q4_0.gguf", modelBytes(5000));
    hub.add("org/tiny/a-Q8_0.gguf", modelBytes(6000, 2));
    await pull("org/tiny:Q4_0", options);
    hub.commit = "c".repeat(40);
    await pull("org/tiny:Q8_0", options);
    expect((await resolve("org/tiny:Q4_0", options)).path).toContain("a".repeat(40));
    expect((await resolve("org/tiny:Q8_0", options)).path).toContain("c".repeat(40));
  });

  test("remove leaves paths and the package's model to their owner", async () => {
    const options = optionsFor(hub, emptyFolder());
    const path = join(emptyFolder(), "mine.gguf");
    writeFileSync(path, "GGUF");
    for (const name of [path, "stories"]) {
      await expect(remove(name, options)).rejects.toMatchObject({ code: "model.not_local" });
    }
    expect(existsSync(path)).toBe(true);
  });

  test("a download from an address that was begun is removed, but not while somebody is at it", async () => {
    const folder = emptyFolder();
    hub.add("org/tiny/m.gguf", modelBytes(50_000));
    const url = `${hub.bytesOrigin}/org/tiny/resolve/main/m.gguf`;
    const options = { ...optionsFor(hub, folder), patience: { ...impatient, tries: 1 } };
    hub.next = (_, { headers }) =>
      headers.range?.startsWith("bytes=0-") ? undefined : { kind: "cut", after: 10 };
    await expect(pull(url, options)).rejects.toMatchObject({ code: "net.broken" });
    const [own] = readdirSync(join(folder, "clavis/urls"));
    const partial = join(folder, "clavis/urls", own, "m.gguf.incomplete");
    const lock = await takeLock(partial.replace(/incomplete$/, "lock"));
    await expect(remove(url, options)).rejects.toMatchObject({ code: "model.not_local" });
    expect(existsSync(partial)).toBe(true);
    await lock.release();
    expect((await remove(url, options)).models).toEqual([url]);
    expect(existsSync(join(folder, "clavis/urls", own))).toBe(false);
    await expect(remove(url, options)).rejects.toMatchObject({ code: "model.not_local" });
    expect(existsSync(join(folder, "clavis/urls", own))).toBe(false);
  });

  test("what was removed and comes again has not been used yet", async () => {
    const options = optionsFor(hub, emptyFolder());
    hub.add("org/tiny/m-Q4_0.gguf", modelBytes(5000));
    await pull("org/tiny", options);
    await resolve("org/tiny", options);
    const used = async () => (await list(options)).find(({ repo }) => repo === "org/tiny")?.usedAt;
    expect(await used()).toBeGreaterThan(0);
    expect(await originOf("org/tiny", options)).toMatchObject({
      from: "hub",
      repo: "org/tiny",
      commit: hub.commit,
      path: expect.stringContaining("m-Q4_0.gguf"),
      usedAt: await used(),
    });
    await remove("org/tiny", options);
    const gone = { from: "hub", repo: "org/tiny", commit: undefined, path: undefined, usedAt: undefined };
    expect(await originOf("org/tiny", options)).toEqual(gone);
    await pull("org/tiny", options);
    expect(await used()).toBeUndefined();
  });

  test("remove never follows a link out of the cache", async () => {
    const folder = emptyFolder();
    const outside = join(emptyFolder(), "precious.gguf");
    writeFileSync(outside, modelBytes(100));
    const snapshot = join(folder, "hf/hub/models--org--links/snapshots", "d".repeat(40));
    mkdirSync(snapshot, { recursive: true });
    symlinkSync(outside, join(snapshot, "m-Q4_0.gguf"));
    expect(await remove("org/links", optionsFor(hub, folder))).toMatchObject({ freedBytes: 0 });
    expect(existsSync(outside)).toBe(true);
  });
});

describe("split models", () => {
  test("all parts come, from one commit, and are removed together", async () => {
    const parts = [1, 2, 3].map((i) => `m-Q4_0-0000${i}-of-00003.gguf`);
    for (const [i, part] of parts.entries()) hub.add(`org/split/${part}`, modelBytes(5000 + i, i + 1));
    const options = optionsFor(hub, emptyFolder());
    const { paths, bytes } = await pull("org/split", options);
    expect(paths.map((path) => path.split(/[/\\]/).at(-1))).toEqual(parts);
    expect(bytes).toBe(15_003);
    expect(await remove("org/split:Q4_0", options)).toMatchObject({ freedBytes: 15_003 });
  });

  test("one whose parts are not all on the hub is refused before anything is downloaded", async () => {
    hub.add("org/split/m-Q4_0-00001-of-00002.gguf", modelBytes(5000));
    await expect(pull("org/split", optionsFor(hub, emptyFolder()))).rejects.toMatchObject({
      code: "model.parts_missing",
    });
    expect(hub.seen.filter(({ stage }) => stage === "bytes")).toEqual([]);
  });
});

describe("hostile servers", () => {
  const traversals = ["../evil.gguf", "/evil.gguf", "a/../../evil.gguf", "..\\evil.gguf", "c:evil.gguf"];

  test("names in a file list that lead elsewhere are passed over", async () => {
    const folder = emptyFolder();
    for (const path of traversals) hub.add(`org/evil/${path}`, modelBytes(1000));
    await expect(pull("org/evil", optionsFor(hub, folder))).rejects.toMatchObject({ code: "model.no_file" });
    expect(existsSync(join(folder, "hf"))).toBe(false);
  });

  test.each([
    ["x-linked-etag", "../../../evil"],
    ["x-linked-etag", `"${"0".repeat(63)}/"`],
    ["x-repo-commit", "../../evil"],
    ["x-repo-commit", undefined],
    ["x-linked-size", "-1"],
    ["x-linked-size", "1e400"],
    ["location", "file:///etc/passwd"],
    ["location", "http://name:secret@127.0.0.1/"],
  ])("%s: %s is refused", async (name, value) => {
    const folder = emptyFolder();
    hub.add("org/evil/m.gguf", modelBytes(1000), { headers: { [name]: value } });
    await expect(pull("hf.co/org/evil/m.gguf", optionsFor(hub, folder))).rejects.toMatchObject({
      code: expect.stringMatching(/^net\.(answer|redirect)$/),
    });
    expect(existsSync(join(folder, "hf"))).toBe(false);
  });

  test("a size beyond the disk is refused before anything is written", async () => {
    const folder = emptyFolder();
    hub.add("org/evil/m.gguf", modelBytes(1000), { headers: { "x-linked-size": "9000000000000000" } });
    await expect(pull("hf.co/org/evil/m.gguf", optionsFor(hub, folder))).rejects.toMatchObject({
      code: "pull.space",
    });
    expect(readdirSync(join(folder, "hf/hub/models--org--evil/blobs"))).toEqual([]);
  });

  test("what is no GGUF file does not get a model's name", async () => {
    const page = new TextEncoder().encode("<!doctype html><title>Sign in</title>");
    hub.add("org/evil/m.gguf", page);
    const options = optionsFor(hub, emptyFolder());
    const url = `${hub.bytesOrigin}/org/evil/resolve/main/m.gguf`;
    await expect(pull(url, options)).rejects.toMatchObject({ code: "pull.not_gguf" });
    await expect(resolve(url, options)).rejects.toMatchObject({ code: "model.not_local" });
  });

  test("lists without an end are refused", async () => {
    // Each page is fine; the next one is the same again, 4 MiB long.
    let pages = 0;
    const page = JSON.stringify([{ type: "file", path: "m.gguf", size: 1, filler: "x".repeat(4 * 2 ** 20) }]);
    const endless = createServer((request, response) => {
      pages++;
      response.setHeader("link", `<${request.url}>; rel="next"`);
      response.end(page);
    });
    await new Promise<void>((resolve) => endless.listen(0, "127.0.0.1", resolve));
    const HF_ENDPOINT = `http://127.0.0.1:${(endless.address() as AddressInfo).port}`;
    const { patience } = optionsFor(hub, emptyFolder());
    const options = {
      ...optionsFor(hub, emptyFolder(), { HF_ENDPOINT }),
      patience: { ...patience!, stallMs: 20_000 },
    };
    await expect(pull("org/tiny", options)).rejects.toMatchObject({ code: "net.answer" });
    expect(pages).toBe(16);
    endless.closeAllConnections();
    endless.close();
  });

  test("redirects in a circle end", async () => {
    hub.add("org/evil/m.gguf", modelBytes(1000), { headers: { location: "/org/evil/resolve/main/m.gguf" } });
    await expect(pull("hf.co/org/evil/m.gguf", optionsFor(hub, emptyFolder()))).rejects.toMatchObject({
      code: "net.redirect",
    });
  });
});

describe("faults", () => {
  const tries = (count: number) => ({ patience: { ...impatient, tries: count } });

  test.each([
    ["401", { kind: "status", status: 401 }, "net.unauthorized"],
    ["403", { kind: "status", status: 403 }, "net.forbidden"],
    ["404", { kind: "status", status: 404 }, "net.missing"],
    ["429", { kind: "status", status: 429 }, "net.too_many"],
    ["500", { kind: "status", status: 500 }, "net.server"],
    ["a broken connection", { kind: "cut", after: 10 }, "net.broken"],
    ["a closed connection", { kind: "reset" }, "net.unreachable"],
    ["silence", { kind: "stall", after: 10 }, "net.stalled"],
    ["a trickle", { kind: "trickle" }, "net.stalled"],
  ] as const)("%s that does not pass ends in %o", async (_, fault, code) => {
    hub.add("org/tiny/m.gguf", modelBytes(10_000));
    hub.next = (stage) => (stage === "bytes" ? fault : undefined);
    await expect(
      pull("hf.co/org/tiny/m.gguf", { ...optionsFor(hub, emptyFolder()), ...tries(3) }),
    ).rejects.toMatchObject({ code });
  });

  test("Retry-After is heeded, and a long one is told", async () => {
    hub.add("org/tiny/m.gguf", modelBytes(1000));
    const options = { ...optionsFor(hub, emptyFolder()), ...tries(2) };
    let first = true;
    hub.next = (stage) => {
      const wait = stage === "bytes" && first;
      if (wait) first = false;
      return wait ? { kind: "status", status: 429, retryAfter: "1" } : undefined;
    };
    const start = performance.now();
    await pull("hf.co/org/tiny/m.gguf", options);
    expect(performance.now() - start).toBeGreaterThan(990);
    hub.add("org/tiny/n.gguf", modelBytes(2000));
    hub.next = () => ({ kind: "status", status: 429, retryAfter: "3600" });
    await expect(pull("hf.co/org/tiny/n.gguf", options)).rejects.toMatchObject({ code: "net.too_many" });
  });

  test("a server that does not answer is waited for aloud", async () => {
    const events: PullEvent[] = [];
    const options = { ...optionsFor(hub, emptyFolder(), { HF_ENDPOINT: "http://127.0.0.1:1" }), ...tries(3) };
    const onEvent = (event: PullEvent) => void events.push(event);
    await expect(pull("org/tiny", { ...options, onEvent })).rejects.toMatchObject({
      code: "net.unreachable",
    });
    expect(events.map(({ type }) => type)).toEqual(["retry", "retry"]);
    expect(events[0]).toMatchObject({ file: "org/tiny", error: { code: "net.unreachable" } });
  });

  test("faults of the file list pass too", async () => {
    hub.add("org/tiny/m.gguf", modelBytes(1000));
    const faults: Fault[] = [{ kind: "reset" }, { kind: "status", status: 503, retryAfter: "0" }];
    hub.next = (stage) => (stage === "list" ? faults.pop() : undefined);
    expect((await pull("org/tiny", optionsFor(hub, emptyFolder()))).downloadedBytes).toBe(1000);
    expect(faults).toEqual([]);
  });

  test("a link that has ended is asked for again", async () => {
    hub.add("org/tiny/m.gguf", modelBytes(10_000));
    let refusals = 0;
    hub.next = (stage) => (stage === "bytes" && refusals++ < 2 ? { kind: "status", status: 403 } : undefined);
    const options = { ...optionsFor(hub, emptyFolder()), connections: 1 };
    expect((await pull("hf.co/org/tiny/m.gguf", options)).downloadedBytes).toBe(10_000);
    expect(hub.seen.filter(({ stage }) => stage === "head").length).toBeGreaterThan(1);
  });

  test("an aborted pull ends with the signal's reason and goes on later", async () => {
    const bytes = modelBytes(100_000);
    hub.add("org/tiny/m.gguf", bytes);
    const options = { ...optionsFor(hub, emptyFolder()), connections: 1, partBytes: 20_000 };
    const controller = new AbortController();
    const reason = new Error("enough");
    const onEvent = (event: PullEvent) => {
      if (event.type === "progress" && event.doneBytes >= 40_000) controller.abort(reason);
    };
    const name = "hf.co/org/tiny/m.gguf";
    await expect(pull(name, { ...options, signal: controller.signal, onEvent })).rejects.toBe(reason);
    const { downloadedBytes, path } = await pull(name, options);
    expect(downloadedBytes).toBeLessThanOrEqual(60_000);
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  test("damage to what an earlier run left is noticed and mended", async () => {
    const bytes = modelBytes(100_000);
    const digest = hub.add("org/tiny/m.gguf", bytes);
    const folder = emptyFolder();
    const options = { ...optionsFor(hub, folder), connections: 1, partBytes: 20_000, ...tries(1) };
    hub.next = (stage, { headers }) =>
      stage === "bytes" && headers.range?.startsWith("bytes=60000") ? { kind: "reset" } : undefined;
    await expect(pull("hf.co/org/tiny/m.gguf", options)).rejects.toMatchObject({ code: "net.unreachable" });
    hub.next = () => undefined;
    const partial = join(folder, "hf/hub/models--org--tiny/blobs", `${digest}.clavis.incomplete`);
    const half = readFileSync(partial);
    half[1000] ^= 1;
    writeFileSync(partial, half);
    expect(readFileSync((await pull("hf.co/org/tiny/m.gguf", options)).path).equals(bytes)).toBe(true);
  });
});

describe("state files", () => {
  test.each(["", "{", "null", "[]", '{"done":[1e9]}', "x".repeat(1000)])("%s begins anew", async (text) => {
    const bytes = modelBytes(20_000);
    const digest = hub.add("org/tiny/m.gguf", bytes);
    const folder = emptyFolder();
    const blobs = join(folder, "hf/hub/models--org--tiny/blobs");
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${digest}.clavis.incomplete`), new Uint8Array(20_000));
    writeFileSync(join(blobs, `${digest}.clavis.incomplete.json`), text);
    const { downloadedBytes, path } = await pull("hf.co/org/tiny/m.gguf", optionsFor(hub, folder));
    expect(downloadedBytes).toBe(20_000);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(readdirSync(blobs)).toEqual([digest]);
  });
});

describe("addresses outside the hub", () => {
  test("are kept under their own name, listed, current at the second pull, and removed", async () => {
    const bytes = modelBytes(50_000);
    hub.add("org/tiny/m.gguf", bytes);
    hub.token = "secret";
    const options = optionsFor(hub, emptyFolder(), { HF_TOKEN: "secret" });
    const url = `${hub.bytesOrigin}/org/tiny/resolve/main/m.gguf`;
    const { path } = await pull(url, options);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(hub.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
    expect((await resolve(url, options)).path).toBe(path);
    expect((await list(options)).map(({ name }) => name)).toEqual(["stories", url]);
    expect((await pull(url, options)).downloadedBytes).toBe(0);
    writeFileSync(path, modelBytes(50_000, 2));
    await expect(resolve(url, options)).rejects.toMatchObject({ code: "store.digest" });
    expect(await remove(url, options)).toEqual({ models: [url], freedBytes: 50_000 });
    await expect(resolve(url, options)).rejects.toMatchObject({ code: "model.not_local" });
  });
});

describe("locks", () => {
  test("that of a process that is gone is taken over", async () => {
    const path = join(emptyFolder(), "x.lock");
    writeFileSync(path, JSON.stringify({ id: "old", pid: 2 ** 22 + 1, host: hostname() }));
    const lock = await takeLock(path);
    expect(await lock.held()).toBe(true);
    await lock.release();
    expect(existsSync(path)).toBe(false);
  });

  test("one that is not touched for long is taken over, also from another host", async () => {
    const path = join(emptyFolder(), "x.lock");
    writeFileSync(path, JSON.stringify({ id: "old", pid: 1, host: "elsewhere" }));
    const minuteAgo = Date.now() / 1000 - 60;
    utimesSync(path, minuteAgo, minuteAgo);
    const lock = await takeLock(path);
    expect(await lock.held()).toBe(true);
    await lock.release();
  });

  test("that of a living process is waited for", async () => {
    const path = join(emptyFolder(), "x.lock");
    const first = await takeLock(path);
    let waited = 0;
    const second = takeLock(path, { waiting: () => void waited++ });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(waited).toBeGreaterThan(0);
    await first.release();
    const taken = await second;
    expect(await taken.held()).toBe(true);
    expect(await first.held()).toBe(false);
    await taken.release();
  });
});
