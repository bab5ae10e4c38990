import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reference } from "../../src/devices/reference/device.ts";
import * as clavis from "../../src/index.ts";
import { chromiumPath, chromiumPlaces, openChromium } from "../support/chromium.ts";
import { Runner, storiesPath } from "../support/golden.ts";
import { root } from "../support/shared.ts";
import { openSite, type Site } from "../support/site.ts";

// The bundle in headless Chromium, in a page's window and in a worker, with and without cross-origin isolation.

const messages = [{ role: "user" as const, content: "Write a story about a dog and a ball." }];
const source = "../models/clavis-stories-q8_0.gguf";

const memoryOf = { isolated: "shared memory", plain: "one thread" };
/** Ids of the vocabulary of 4,096, by a fixed rule: one token, a step with a remainder, several pages. */
const prompts = [1, 21, 75].map((length, i) =>
  Array.from({ length }, (_, t) => 300 + ((t * t * 7 + 31 * i) % 3000)),
);

type Where = "window" | "worker";
type Kind = "isolated" | "plain";

const title = "browser: the bundle in Chromium";
const missing = `${title} (skipped: there is no ${chromiumPlaces.join(" or ")})`;

describe.skipIf(!chromiumPath)(chromiumPath ? title : missing, () => {
  let site: Site;
  let browser: Browser;
  let nodeText = "";
  const referenceBits: Uint32Array[] = [];
  const pages = new Map<Kind, Page>();

  beforeAll(async () => {
    site = await openSite({
      page: join(root, "tests/browser/page"),
      clavis: join(root, "dist/browser"),
      models: join(root, "models"),
      example: join(root, "examples/browser"),
    });
    await using model = await clavis.load("stories", { device: "wasm" });
    for await (const piece of model.chat(messages, { sampling: { temperature: 0 } })) nodeText += piece.text;
    const runner = await Runner.open(storiesPath, reference);
    for (const prompt of prompts) {
      runner.restart();
      referenceBits.push(new Uint32Array((await runner.step(prompt)).buffer));
    }
    browser = await openChromium();
    for (const kind of ["isolated", "plain"] as const) {
      pages.set(kind, await openPage(browser, kind));
    }
  });

  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });

  const check = (kind: Kind, where: Where, name: string, options?: object) =>
    callIn(pages.get(kind)!, where, name, options);

  describe.each([
    ["isolated", "window"],
    ["isolated", "worker"],
    ["plain", "window"],
    ["plain", "worker"],
  ] as const)("%s page, %s", (kind, where) => {
    test("answers with the same text as in Node", async () => {
      const { text, pieces, info } = await check(kind, where, "answer", { source, messages });
      expect(text).toBe(nodeText);
      expect(pieces.length).toBeGreaterThan(20);
      expect(info).toMatchObject({ device: "wasm", kernels: expect.stringContaining(memoryOf[kind]) });
      const logical = await pages.get(kind)!.evaluate(() => navigator.hardwareConcurrency);
      if (kind === "plain" || logical === 1) expect(info.threads).toBe(1);
      else expect(info.threads).toBeGreaterThan(1);
    });

    test.each(kind === "isolated" ? [1, 2, 3] : [1])(
      "%i threads: the reference's logits, bit by bit",
      async (threads) => {
        const load = { threads, mode: "reproducible", context: 256 };
        const got = await check(kind, where, "logitBits", { source, prompts, load });
        expect(got.threads).toBe(threads);
        referenceBits.forEach((want, prompt) => {
          const apart = want.findIndex((bits, id) => bits !== got.rows[prompt][id]);
          expect(apart, `first logit that differs after prompt ${prompt}`).toBe(-1);
          expect(got.rows[prompt].length).toBe(want.length);
        });
      },
    );

    test("an answer ends at an abort, at once and also from a timer, and the next is whole", async () => {
      const result = await check(kind, where, "abort", { source, messages });
      expect(result).toEqual({ pieces: 3, name: "AbortError", timer: "AbortError", again: nodeText });
    });
  });

  test("a Blob, a File, an ArrayBuffer and a Uint8Array give the same answer", async () => {
    const texts = await check("isolated", "worker", "answerFromBytes", { source, messages });
    expect(texts).toEqual({ Blob: nodeText, File: nodeText, ArrayBuffer: nodeText, Uint8Array: nodeText });
  });

  test("a server without ranges is downloaded from", async () => {
    const whole = await check("isolated", "window", "answer", { source: `${source}?whole`, messages });
    expect(whole.text).toBe(nodeText);
  });

  test("an address is read by ranges, each byte at most once", async () => {
    const before = site.requests.length;
    await check("isolated", "window", "answer", { source, messages });
    const ranges = site.requests.slice(before).filter(({ path }) => path.endsWith(".gguf"));
    expect(ranges.map(({ range }) => range)).toEqual(["bytes=0-4194303", "bytes=4194304-6273919"]);
  });

  test.each<[string, object, string]>([
    ["no file there", { source: "../models/none.gguf" }, "source.missing"],
    ["no server there", { source: "http://127.0.0.1:1/model.gguf" }, "source.network"],
    ["no address", { source: "http://" }, "model.name"],
    ["no model", { source: "page.js" }, "gguf.magic"],
    ["half a model", { source, firstBytes: 3_000_000 }, "gguf.tensor_bounds"],
    ["an empty file", { source, firstBytes: 0 }, "gguf.magic"],
    ["a context longer than the model's", { source, load: { context: 100_000 } }, "load.context"],
    ["a device of Node", { source, load: { device: "native" } }, "load.device"],
  ])("%s is a ClavisError", async (_, options, code) => {
    for (const kind of ["isolated", "plain"] as const) {
      const error = await check(kind, "window", "refusal", options);
      expect(error).toMatchObject({ isClavisError: true, name: "ClavisError", code });
    }
  });

  test("describeDevices tells why there is one thread", async () => {
    expect((await check("isolated", "window", "devices"))[0]).not.toHaveProperty("note");
    const [wasm] = await check("plain", "window", "devices");
    expect(wasm).toMatchObject({ name: "wasm", available: true, threads: 1 });
    expect(wasm.note).toContain("cross-origin isolated");
  });

  test("inspect tells what the file says", async () => {
    expect(await check("plain", "worker", "inspect", { source })).toEqual(await clavis.inspect("stories"));
  });

  test("the example answers, says what is wrong with a file, and stops", async () => {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.goto(`${site.origin}/isolated/example/index.html`);
    const answered = async () => {
      await page.waitForSelector("#send:enabled");
      return [await page.textContent("#answer"), await page.textContent("#status")];
    };
    await page.click("#send");
    const [story, speed] = await answered();
    expect(story!.length).toBeGreaterThan(100);
    expect(speed).toMatch(/\d+ tokens\/s .* shared memory/);

    await page.setInputFiles("#file", join(root, "examples/browser/page.js"));
    await page.click("#send");
    expect(await answered()).toEqual(["", expect.stringContaining("gguf.magic")]);

    await page.setInputFiles("#file", storiesPath);
    await page.click("#send");
    await page.waitForFunction(() => (document.querySelector("#answer") as HTMLOutputElement).value !== "");
    await page.click("#stop");
    expect((await answered())[1]).toMatch(/^Stopped|tokens\/s/);
    expect(errors).toEqual([]);
  });

  test.skipIf(process.platform !== "linux")("close gives the memory back", async () => {
    // A browser of its own, so that no other page's renderer counts.
    const alone = await openChromium();
    const page = await openPage(alone, "isolated");
    const openAndClose = async (times: number) => {
      for (let i = 0; i < times; i++) {
        await callIn(page, "window", "hold", { source });
        await callIn(page, "window", "release");
      }
      return residentBytes(alone, page);
    };
    // Collectors keep a memory or two for a while; ten that were never given back would take 90 MB and more.
    const before = await openAndClose(3);
    const after = await openAndClose(10);
    expect((after - before) / 1e6).toBeLessThan(45);
    await alone.close();
  });

  async function openPage(chromium: Browser, kind: Kind): Promise<Page> {
    const page = await chromium.newPage();
    page.on("pageerror", (error) => console.error(`${kind} page: ${error.stack}`));
    await page.goto(`${site.origin}/${kind}/page/index.html`);
    await page.waitForFunction(() => "check" in globalThis);
    return page;
  }
});

/** Runs a function of page/checks.js; addresses in its options are relative to the page. */
// biome-ignore lint/suspicious/noExplicitAny: what a check gives is plain data, stated where it is expected
function callIn(page: Page, where: Where, name: string, options: object = {}): Promise<any> {
  const call = ([at, what, data]: [string, string, object]) =>
    (globalThis as unknown as { check(...args: unknown[]): unknown }).check(at, what, data);
  return page.evaluate(call, [where, name, options] as [string, string, object]);
}

/** Memory of the largest renderer, which is the page's, after a collection of garbage. */
async function residentBytes(browser: Browser, page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  await session.detach();
  const browserSession = await browser.newBrowserCDPSession();
  const { processInfo } = await browserSession.send("SystemInfo.getProcessInfo");
  await browserSession.detach();
  const renderers = processInfo.filter(({ type }) => type === "renderer");
  const status = renderers.map(({ id }) => readFileSync(`/proc/${id}/status`, "latin1"));
  return Math.max(...status.map((text) => Number(/^VmRSS:\s+(\d+) kB/m.exec(text)![1]) * 1024));
}
