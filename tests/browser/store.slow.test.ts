import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as clavis from "../../src/index.ts";
import { drawnFault } from "../store/faults.ts";
import { HubServer, sha256 } from "../store/hub-server.ts";
import { impatient, modelBytes } from "../store/store-folder.ts";
import { chromiumPath, chromiumPlaces } from "../support/chromium.ts";
import { storiesPath } from "../support/golden.ts";
import { random as uniform } from "../support/random.ts";
import { root } from "../support/shared.ts";
import { openSite, type Site } from "../support/site.ts";

// Models by name in headless Chromium: a page of one origin, the hub and the host of its bytes of two others.

const messages = [{ role: "user" as const, content: "Write a story about a dog and a ball." }];
const title = "browser: models by name in Chromium";
const missing = `${title} (skipped: there is no ${chromiumPlaces.join(" or ")})`;

type Where = "window" | "worker";

describe.skipIf(!chromiumPath)(chromiumPath ? title : missing, () => {
  const profile = mkdtempSync(join(tmpdir(), "clavis-chromium-"));
  const stories = readFileSync(storiesPath);
  let hub: HubServer;
  let site: Site;
  let context: BrowserContext;
  let page: Page;
  let nodeText = "";

  beforeAll(async () => {
    hub = await HubServer.start();
    site = await openSite({
      page: join(root, "tests/browser/page"),
      clavis: join(root, "dist/browser"),
      models: join(root, "models"),
    });
    await using model = await clavis.load("stories", { device: "wasm" });
    for await (const piece of model.chat(messages, { sampling: { temperature: 0 } })) nodeText += piece.text;
    // A profile on disk, as a user's: without one, the browser keeps an origin's files in memory.
    context = await chromium.launchPersistentContext(profile, {
      executablePath: chromiumPath,
      chromiumSandbox: false,
      args: ["--host-resolver-rules=MAP insecure.test 127.0.0.1"],
    });
    page = await openPage();
  });

  afterAll(async () => {
    await context?.close();
    await site?.close();
    await hub?.close();
    rmSync(profile, { recursive: true, force: true });
  });

  beforeEach(async () => {
    hub.files.clear();
    hub.seen.length = 0;
    hub.next = () => undefined;
    hub.token = undefined;
    hub.redirects = true;
    hub.exposes = "*";
    hub.commit = "a".repeat(40);
    await check("clear");
  });

  async function openPage(origin = site.origin): Promise<Page> {
    const opened = await context.newPage();
    opened.on("pageerror", (error) => console.error(`page: ${error.stack}`));
    await opened.goto(`${origin}/isolated/page/index.html`);
    await opened.waitForFunction(() => "check" in globalThis);
    return opened;
  }

  const options = (more: object = {}) => ({ endpoint: hub.endpoint, patience: impatient, ...more });
  /** For answers that are slow on purpose: on a busy machine they are slower still. */
  const patience = { ...impatient, stallMs: 10_000 };
  const check = (name: string, data: object = {}, where: Where = "window", at = page) =>
    callIn(at, where, name, data);
  const pull = (name: string, more: object = {}, where: Where = "window", at = page) =>
    check("pull", { name, options: options(more) }, where, at);

  test.each(["window", "worker"] as const)("a name answers as in Node, from a %s", async (where) => {
    const digest = hub.add("org/stories-GGUF/stories-Q8_0.gguf", stories);
    hub.add("org/stories-GGUF/stories-F16.gguf", modelBytes(1000));
    const name = "org/stories-GGUF";
    const before = await check("answerNamed", { name, messages, options: options() }, where);
    expect(before.error).toMatchObject({ isClavisError: true, code: "model.not_local" });
    const first = await check("answerNamed", { name, messages, options: options({ pull: true }) }, where);
    expect(first.error).toBeUndefined();
    expect(first.value).toBe(nodeText);
    expect(first.events[0]).toMatchObject({ type: "chosen", quant: "Q8_0" });
    expect(first.events.at(-1)).toEqual({
      type: "progress",
      doneBytes: stories.length,
      allBytes: stories.length,
    });
    expect((await check("stored"))[digest]).toBe(digest);
    // From now on without the network.
    hub.next = () => ({ kind: "status", status: 500 });
    const again = await check("answerNamed", { name: `${name}:q8_0`, messages, options: options() }, where);
    expect(again.value).toBe(nodeText);
    expect((await check("originOf", { name }, where)).value).toEqual({
      from: "hub",
      repo: "org/stories-GGUF",
      commit: hub.commit,
      path: `clavis/${digest}`,
      usedAt: expect.any(Number),
    });
    expect((await check("list", {}, where)).value).toEqual([
      {
        name: "org/stories-GGUF:Q8_0",
        from: "hub",
        path: `clavis/${digest}`,
        bytes: stories.length,
        quant: "Q8_0",
        architecture: "llama",
        licence: "Apache-2.0",
        usedAt: expect.any(Number),
        repo: "org/stories-GGUF",
        commit: hub.commit,
      },
    ]);
  });

  test("the token goes to the hub alone, and each byte is asked for once", async () => {
    hub.token = "secret";
    const bytes = modelBytes(10_000);
    const digest = hub.add("org/tiny/model-Q4_0.gguf", bytes);
    expect((await pull("org/tiny")).error).toMatchObject({ code: "net.unauthorized" });
    hub.seen.length = 0;
    const { value, events } = await pull("org/tiny", { token: "secret", partBytes: 4096 });
    expect(value).toMatchObject({ path: `clavis/${digest}`, bytes: 10_000, downloadedBytes: 10_000 });
    expect(events.at(-2)).toMatchObject({ type: "done", sha256: sha256(bytes) });
    const authorized = hub.seen.filter(({ authorization }) => authorization !== undefined);
    expect(authorized.map(({ stage, host }) => `${stage} ${host}`)).toEqual([
      `list ${hub.endpoint}`,
      `list ${hub.endpoint}`,
      `bytes ${hub.endpoint}`,
    ]);
    const atBytesHost = hub.seen.filter(({ host }) => host === hub.bytesOrigin);
    expect(atBytesHost.map(({ range }) => range).sort()).toEqual([
      "bytes=0-0", // where the link leads
      "bytes=0-4095",
      "bytes=4096-8191",
      "bytes=8192-9999",
    ]);
    // Nothing there had to be asked for beforehand: the hub's host of bytes refuses that.
    expect(hub.seen.some(({ method, host }) => method === "OPTIONS" && host === hub.bytesOrigin)).toBe(false);
  });

  describe("a download that is broken off", () => {
    const size = 300_000;
    const bytes = modelBytes(size);
    const slow = { kind: "slow", bytes: 200 } as const;

    test("by closing the page goes on in the next, from where it was", async () => {
      const digest = hub.add("org/tiny/model-Q4_0.gguf", bytes);
      hub.next = (stage, { headers }) =>
        stage === "bytes" && headers.range !== "bytes=0-0" ? slow : undefined;
      const other = await openPage();
      hub.sent = 0;
      // The answer never comes: the page is closed meanwhile.
      pull("org/tiny", { partBytes: 100_000, patience }, "window", other).catch(() => {});
      await hub.until(() => hub.sent > 80_000);
      await new Promise((resolve) => setTimeout(resolve, 1200)); // how far it came is saved every second
      await other.close();
      hub.next = () => undefined;
      hub.seen.length = 0;
      expect((await check("list")).value).toEqual([]);
      expect((await check("resolve", { name: "org/tiny" })).error.code).toBe("model.not_local");
      const { value, events } = await pull("org/tiny", { partBytes: 100_000 });
      const { doneBytes } = events.find(({ type }: { type: string }) => type === "resumed");
      expect(doneBytes).toBeGreaterThan(50_000);
      expect(value.downloadedBytes).toBe(size - doneBytes);
      expect(rangeBytes(hub)).toBe(size - doneBytes);
      expect(await check("stored")).toEqual({ [digest]: digest, ...records(digest) });
    });

    test("by its signal says so, keeps what came, and goes on", async () => {
      const digest = hub.add("org/tiny/model-Q4_0.gguf", bytes);
      const aborted = await check("pull", {
        name: "org/tiny",
        abortAtBytes: 100_000,
        options: options({ partBytes: 50_000, connections: 1 }),
      });
      expect(aborted.error).toMatchObject({ message: "enough", isClavisError: false });
      const { value, events } = await pull("org/tiny", { partBytes: 50_000 });
      expect(events.map(({ type }: { type: string }) => type)).toContain("resumed");
      expect(value.downloadedBytes).toBeLessThanOrEqual(size - 100_000);
      expect((await check("stored"))[digest]).toBe(digest);
    });

    test("two tabs at once share the work", async () => {
      const digest = hub.add("org/tiny/model-Q4_0.gguf", bytes);
      hub.next = (stage, { headers }) =>
        stage === "bytes" && headers.range !== "bytes=0-0" ? slow : undefined;
      const other = await openPage();
      const both = await Promise.all([
        pull("org/tiny", { partBytes: 100_000, patience }),
        pull("org/tiny", { partBytes: 100_000, patience }, "worker", other),
      ]);
      await other.close();
      expect(both.map(({ error }) => error)).toEqual([undefined, undefined]);
      const [waited] = both.filter(({ value }) => value.downloadedBytes === 0);
      const types = waited.events.map(({ type }: { type: string }) => type);
      expect(types[0]).toBe("waiting");
      expect(types).toContain("found");
      // It saw how far the other had come.
      const seen = waited.events.filter(
        ({ type, doneBytes }: { type: string; doneBytes: number }) => type === "progress" && doneBytes < size,
      );
      expect(seen.length).toBeGreaterThan(1);
      expect(rangeBytes(hub)).toBe(size);
      expect(await check("stored")).toEqual({ [digest]: digest, ...records(digest) });
    });
  });

  test("wrong bytes are no model, and nothing of them stays", async () => {
    hub.add("org/tiny/model-Q4_0.gguf", modelBytes(50_000), { etag: "b".repeat(64) });
    const { error } = await pull("org/tiny");
    expect(error).toMatchObject({ code: "pull.digest", isClavisError: true });
    expect(await check("stored")).toEqual({});
    expect((await check("resolve", { name: "org/tiny" })).error.code).toBe("model.not_local");
  });

  const schedules = 40;
  test(`${schedules} schedules of faults end whole or in an error, with nothing half there`, async () => {
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= schedules; seed++) {
      await check("clear");
      const random = uniform(seed);
      const size = 5 + Math.floor(random() ** 2 * 40_000);
      const bytes = modelBytes(size, seed);
      hub.files.clear();
      const digest = hub.add("org/tiny/model-Q4_0.gguf", bytes);
      hub.redirects = random() < 0.7;
      const rate = random() * 0.3;
      const plan = { partBytes: 4096, connections: 1 + Math.floor(random() * 4) };
      hub.next = (stage, { headers, method }) => {
        const body = stage === "bytes" && headers.range !== "bytes=0-0";
        if (method === "OPTIONS" || random() >= rate) return undefined;
        return drawnFault(random, body ? "bytes" : "list", Math.min(size, 4096));
      };
      const { error } = await pull("org/tiny", plan, seed % 2 ? "window" : "worker");
      const outcome = error?.code ?? "whole";
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (error) {
        expect(error, `schedule ${seed}`).toMatchObject({ isClavisError: true });
        expect(error.code).toMatch(/^(net|pull)\./);
        expect((await check("list")).value, `schedule ${seed}`).toEqual([]);
      }
      hub.next = () => undefined;
      expect((await pull("org/tiny", plan)).error, `schedule ${seed}`).toBeUndefined();
      expect(await check("stored"), `schedule ${seed}`).toEqual({ [digest]: digest, ...records(digest) });
    }
    expect(outcomes.get("whole")).toBeGreaterThan(schedules / 4);
    expect(outcomes.size).toBeGreaterThan(2);
  });

  test("what a new commit changes is pulled, and the old one stays usable", async () => {
    hub.add("org/tiny/model-Q4_0.gguf", modelBytes(9000));
    await pull("org/tiny");
    expect((await pull("org/tiny")).value.downloadedBytes).toBe(0);
    hub.commit = "b".repeat(40);
    const digest = hub.add("org/tiny/model-Q4_0.gguf", modelBytes(9500, 2));
    expect((await pull("org/tiny")).value).toMatchObject({ downloadedBytes: 9500, path: `clavis/${digest}` });
    const found = async (name: string) => (await check("resolve", { name })).value.path;
    expect(await found("org/tiny")).toBe(`clavis/${digest}`);
    expect(await found(`org/tiny@${"a".repeat(40)}`)).not.toBe(`clavis/${digest}`);
    expect((await check("list")).value).toHaveLength(1);
    // Both are that model, so both go.
    expect((await check("remove", { name: "org/tiny" })).value).toEqual({
      models: ["org/tiny:Q4_0"],
      freedBytes: 18_500,
    });
    expect(await check("stored")).toEqual({});
  });

  test("split models, several in a repository, and removing one of them", async () => {
    const parts = [1, 2].map((part) => modelBytes(5000, part));
    const names = parts.map((_, i) => `big-Q8_0-0000${i + 1}-of-00002.gguf`);
    for (const [i, name] of names.entries()) hub.add(`org/two/${name}`, parts[i]);
    hub.add("org/two/small-Q4_0.gguf", modelBytes(700, 9));
    const big = (await pull(`hf.co/org/two/${names[1]}`)).value;
    expect(big.paths).toEqual(parts.map((part) => `clavis/${sha256(part)}`));
    await pull("org/two:Q4_0");
    expect((await check("list")).value.map(({ name }: { name: string }) => name)).toEqual([
      "org/two:Q8_0",
      "org/two:Q4_0",
    ]);
    expect((await check("remove", { name: "org/two" })).error.code).toBe("model.ambiguous");
    const before = await check("usage");
    expect((await check("remove", { name: "org/two:Q8_0" })).value.freedBytes).toBe(10_000);
    expect(before - (await check("usage"))).toBeGreaterThanOrEqual(10_000);
    expect((await check("remove", { name: "org/two:Q8_0" })).error.code).toMatch(/^model\./);
    expect((await check("list")).value).toHaveLength(1);
  });

  test("a file that was changed behind our back is refused, and pulled again", async () => {
    hub.add("org/tiny/model-Q4_0.gguf", modelBytes(9000));
    const { path } = (await pull("org/tiny")).value;
    expect((await check("resolve", { name: "org/tiny", options: { verify: true } })).error).toBeUndefined();
    await check("damage", { path, at: 5000 });
    expect((await check("resolve", { name: "org/tiny" })).error.code).toBe("store.digest");
    const { value, events } = await pull("org/tiny");
    expect(events.map(({ type }: { type: string }) => type)).toContain("damaged");
    expect(value.downloadedBytes).toBe(9000);
    expect((await check("resolve", { name: "org/tiny" })).error).toBeUndefined();
  });

  describe("addresses", () => {
    test.each([
      ["that tells all", "*", undefined],
      ["that exposes no header", undefined, undefined],
      ["that gives no ranges", "*", { kind: "whole" }],
    ] as const)("a server %s", async (_, exposes, fault) => {
      hub.exposes = exposes;
      hub.next = () => fault;
      const bytes = modelBytes(20_000);
      const digest = hub.add("org/any/model.gguf", bytes);
      const name = `${hub.bytesOrigin}/org/any/resolve/main/model.gguf`;
      const { value, error } = await pull(name, { partBytes: 4096 });
      expect(error).toBeUndefined();
      expect(value).toMatchObject({ bytes: 20_000, downloadedBytes: 20_000 });
      expect(Object.values(await check("stored"))).toContain(digest);
      expect((await pull(name)).value.downloadedBytes).toBe(0);
      expect((await check("list")).value).toMatchObject([{ name, from: "url", url: name, bytes: 20_000 }]);
      expect((await check("remove", { name })).value.freedBytes).toBe(20_000);
      expect(await check("stored")).toEqual({});
    });

    test("a relative one, and an answer that is no model", async () => {
      const name = "../models/clavis-stories-q8_0.gguf";
      const answer = await check("answerNamed", { name, messages, options: { pull: true } });
      expect(answer.value).toBe(nodeText);
      expect((await check("list")).value).toMatchObject([
        { name: `${site.origin}/isolated/models/clavis-stories-q8_0.gguf`, architecture: "llama" },
      ]);
      expect((await pull("./page.js")).error.code).toBe("pull.not_gguf");
      expect((await check("list")).value).toHaveLength(1);
    });
  });

  test("no more than the browser's quota is begun", async () => {
    const session = await context.newCDPSession(page);
    await session.send("Storage.overrideQuotaForOrigin", { origin: site.origin, quotaSize: 3_000_000 });
    hub.add("org/tiny/model-Q4_0.gguf", modelBytes(5_000_000));
    const { error } = await pull("org/tiny");
    await session.send("Storage.overrideQuotaForOrigin", { origin: site.origin });
    expect(error).toMatchObject({ code: "pull.space", isClavisError: true });
    expect(rangeBytes(hub)).toBe(0);
    expect(await check("stored")).toEqual({});
    expect((await pull("org/tiny", { persist: true })).events[0]).toEqual({
      type: "persistence",
      granted: expect.any(Boolean),
    });
  });

  test("what is being downloaded is not removed", async () => {
    hub.add("org/tiny/model-Q4_0.gguf", modelBytes(100_000));
    hub.next = (stage, { headers }) =>
      stage === "bytes" && headers.range !== "bytes=0-0" ? { kind: "slow", bytes: 2000 } : undefined;
    hub.sent = 0;
    const pulling = pull("org/tiny", { patience });
    await hub.until(() => hub.sent > 10_000);
    expect((await check("remove", { name: "org/tiny" }, "worker")).error.code).toBe("store.busy");
    expect((await pulling).error).toBeUndefined();
    expect((await check("remove", { name: "org/tiny" })).value.freedBytes).toBe(100_000);
  });

  test("inspect reads a header where it is", async () => {
    hub.add("org/stories-GGUF/stories-Q8_0.gguf", stories);
    const name = "org/stories-GGUF";
    const near = await check("inspectNamed", { name, options: options() });
    expect(near.error.code).toBe("model.not_local");
    const far = await check("inspectNamed", { name, options: options({ remote: true }) });
    expect(far.value).toEqual(await clavis.inspect("stories"));
    expect(await check("stored")).toEqual({});
  });

  test("names that are none, and those of another place", async () => {
    const codeOf = async (name: string) => (await pull(name)).error.code;
    expect(await codeOf("org/re--po")).toBe("model.name");
    expect(await codeOf("hf.co/org/repo/../x.gguf")).toBe("model.file_name");
    expect(await codeOf("stories")).toBe("model.not_found");
    expect(await codeOf("blob:nothing")).toBe("model.name");
    expect(await codeOf("org/nothing-here")).toBe("net.missing");
  });

  test("a page without a place for files reads where the model is, and says so", async () => {
    hub.add("org/stories-GGUF/stories-Q8_0.gguf", stories);
    const insecure = await openPage(site.origin.replace("127.0.0.1", "insecure.test"));
    expect((await pull("org/stories-GGUF", {}, "window", insecure)).error).toMatchObject({
      code: "store.unavailable",
      message: expect.stringContaining("https"),
    });
    const load = { name: "org/stories-GGUF", messages, options: options({ pull: true }) };
    const { value, events } = await check("answerNamed", load, "window", insecure);
    expect(value).toBe(nodeText);
    expect(events[0]).toMatchObject({ type: "notStored", error: { code: "store.unavailable" } });
    await insecure.close();
  });
});

/** The files that make a whole one a model: its record, written once at the beginning and once at the end. */
const records = (id: string) =>
  Object.fromEntries([0, 1].map((slot) => [`${id}.record.${slot}`, expect.any(String)]));

/** Bytes that were asked for by ranges, without the one that asks where a link leads. */
function rangeBytes(hub: HubServer): number {
  let sum = 0;
  for (const { stage, range } of hub.seen) {
    const asked = /^bytes=(\d+)-(\d+)$/.exec(range ?? "");
    if (stage === "bytes" && asked !== null && range !== "bytes=0-0")
      sum += Number(asked[2]) + 1 - Number(asked[1]);
  }
  return sum;
}

/** Runs a function of page/checks.js. */
// biome-ignore lint/suspicious/noExplicitAny: what a check gives is plain data, stated where it is expected
function callIn(page: Page, where: Where, name: string, data: object = {}): Promise<any> {
  const call = ([at, what, given]: [string, string, object]) =>
    (globalThis as unknown as { check(...args: unknown[]): unknown }).check(at, what, given);
  return page.evaluate(call, [where, name, data] as [string, string, object]);
}
