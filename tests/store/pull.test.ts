import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { PullEvent } from "../../src/store/options.ts";
import { pull } from "../../src/store/pull.ts";
import { resolve } from "../../src/store/resolve.ts";
import { HubServer, sha256 } from "./hub-server.ts";
import { emptyFolder, modelBytes, optionsFor } from "./store-folder.ts";

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.close());
beforeEach(() => hub.reset());

describe("pull from the hub", () => {
  test("brings a file into the layout that Hugging Face's tools share", async () => {
    const bytes = modelBytes(50_000);
    const digest = hub.add("org/tiny-GGUF/tiny-Q4_K_M.gguf", bytes);
    hub.add("org/tiny-GGUF/tiny-Q8_0.gguf", modelBytes(60_000, 2));
    const folder = emptyFolder();
    const events: PullEvent[] = [];
    const options = { ...optionsFor(hub, folder), onEvent: (event: PullEvent) => void events.push(event) };
    const pulled = await pull("org/tiny-GGUF", options);
    const repo = join(folder, "hf/hub/models--org--tiny-GGUF");
    expect(pulled.path).toBe(join(repo, "snapshots", hub.commit, "tiny-Q4_K_M.gguf"));
    expect(readlinkSync(pulled.path)).toBe(join("../../blobs", digest));
    expect(readFileSync(pulled.path).equals(bytes)).toBe(true);
    expect(readFileSync(join(repo, "refs/main"), "utf8")).toBe(hub.commit);
    expect(readdirSync(join(repo, "blobs"))).toEqual([digest]);
    expect(events[0]).toMatchObject({ type: "chosen", quant: "Q4_K_M" });
    expect(events.at(-1)).toEqual({ type: "progress", doneBytes: 50_000, allBytes: 50_000 });
    expect((await resolve("org/tiny-GGUF", options)).path).toBe(pulled.path);
    expect((await resolve("hf.co/org/tiny-GGUF:q4_k_m", options)).path).toBe(pulled.path);
    await expect(resolve("org/tiny-GGUF:Q8_0", options)).rejects.toMatchObject({ code: "model.not_local" });
  });

  test("goes on where a broken download stopped", async () => {
    const bytes = modelBytes(200_000);
    hub.add("org/tiny/model.gguf", bytes);
    const options = { ...optionsFor(hub, emptyFolder()), partBytes: 50_000, connections: 2 };
    hub.next = (stage, { headers }) => {
      if (stage !== "bytes") return undefined;
      if (headers.range?.startsWith("bytes=0-")) return undefined;
      return { kind: "cut", after: 10_000 };
    };
    await expect(
      pull("hf.co/org/tiny/model.gguf", { ...options, patience: { ...options.patience!, tries: 1 } }),
    ).rejects.toMatchObject({
      code: "net.broken",
    });
    hub.next = () => undefined;
    hub.seen.length = 0;
    const events: PullEvent[] = [];
    const pulled = await pull("hf.co/org/tiny/model.gguf", {
      ...options,
      onEvent: (event) => void events.push(event),
    });
    expect(readFileSync(pulled.path).equals(bytes)).toBe(true);
    const resumed = events.find((event) => event.type === "resumed");
    expect(resumed?.doneBytes).toBeGreaterThanOrEqual(10_000);
    expect(pulled.downloadedBytes).toBe(200_000 - resumed!.doneBytes);
    expect(
      hub.seen.filter(({ stage }) => stage === "bytes").some(({ range }) => range === "bytes=0-49999"),
    ).toBe(resumed!.doneBytes < 50_000);
  });

  test("a wrong digest is refused, and nothing is left of it", async () => {
    hub.add("org/tiny/model.gguf", modelBytes(20_000), { etag: "0".repeat(64) });
    const folder = emptyFolder();
    await expect(pull("hf.co/org/tiny/model.gguf", optionsFor(hub, folder))).rejects.toMatchObject({
      code: "pull.digest",
      expected: expect.stringContaining("0".repeat(64)),
    });
    const repo = join(folder, "hf/hub/models--org--tiny");
    expect(readdirSync(join(repo, "blobs"))).toEqual([]);
    expect(existsSync(join(repo, "snapshots"))).toBe(false);
  });

  test("what is there and current is not downloaded again", async () => {
    hub.add("org/tiny/model.gguf", modelBytes(20_000));
    const options = optionsFor(hub, emptyFolder());
    await pull("hf.co/org/tiny/model.gguf", options);
    hub.seen.length = 0;
    expect((await pull("hf.co/org/tiny/model.gguf", options)).downloadedBytes).toBe(0);
    expect(hub.seen.map(({ stage }) => stage)).toEqual(["list", "head"]);
  });

  test("two pulls at once download it once", async () => {
    const bytes = modelBytes(100_000);
    hub.add("org/tiny/model.gguf", bytes);
    const options = optionsFor(hub, emptyFolder());
    const two = await Promise.all([1, 2].map(() => pull("hf.co/org/tiny/model.gguf", options)));
    expect(two.map(({ downloadedBytes }) => downloadedBytes).sort()).toEqual([0, 100_000]);
    expect(lstatSync(two[0].path).isSymbolicLink()).toBe(true);
    expect(sha256(readFileSync(realpathSync(two[1].path)))).toBe(sha256(bytes));
    expect(hub.seen.filter(({ stage }) => stage === "bytes").length).toBe(Math.ceil(100_000 / 4096));
  });

  test("the token goes to the hub's host alone", async () => {
    hub.token = "secret";
    hub.add("org/tiny/model-Q4_0.gguf", modelBytes(20_000));
    const folder = emptyFolder();
    await expect(pull("org/tiny", optionsFor(hub, folder))).rejects.toMatchObject({
      code: "net.unauthorized",
    });
    hub.seen.length = 0;
    await pull("org/tiny", optionsFor(hub, folder, { HF_TOKEN: "secret" }));
    const withToken = hub.seen.filter(({ authorization }) => authorization !== undefined);
    expect(new Set(withToken.map(({ stage }) => stage))).toEqual(new Set(["list", "head"]));
    expect(hub.seen.filter(({ stage }) => stage === "bytes").length).toBeGreaterThan(0);
  });
});
