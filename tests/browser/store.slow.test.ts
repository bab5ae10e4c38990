import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as clavis from "../../src/index.ts";
import { HubServer, sha256 } from "../store/hub-server.ts";
import { impatient, modelBytes } from "../store/store-folder.ts";
import { chromiumPath, chromiumPlaces } from "../support/chromium.ts";
import { storiesPath } from "../support/golden.ts";
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
});

/** Runs a function of page/checks.js. */
// biome-ignore lint/suspicious/noExplicitAny: what a check gives is plain data, stated where it is expected
function callIn(page: Page, where: Where, name: string, data: object = {}): Promise<any> {
  const call = ([at, what, given]: [string, string, object]) =>
    (globalThis as unknown as { check(...args: unknown[]): unknown }).check(at, what, given);
  return page.evaluate(call, [where, name, data] as [string, string, object]);
}
