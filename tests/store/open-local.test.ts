import {
  closeSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { read } from "../../src/bytes/source.ts";
import { load } from "../../src/index.ts";
import { openLocal } from "../../src/store/open-local.ts";
import type { PullEvent } from "../../src/store/options.ts";
import { pull } from "../../src/store/pull.ts";
import { root } from "../support/shared.ts";
import { changeInPlace } from "../support/tampering.ts";
import { HubServer } from "./hub-server.ts";
import { emptyFolder, environmentOf, modelBytes, optionsFor } from "./store-folder.ts";

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.close());

const MiB = 2 ** 20;
const bytes = modelBytes(2 * MiB + 1234);

describe("a downloaded model that is opened", () => {
  let options: ReturnType<typeof optionsFor>;
  let path: string;
  let events: PullEvent[];
  const checks = () => events.filter(({ type }) => type === "checking").length;

  beforeEach(async () => {
    hub.files.clear();
    hub.add("org/tiny/m-Q4_0.gguf", bytes);
    events = [];
    options = { ...optionsFor(hub, emptyFolder()), onEvent: (event) => void events.push(event) };
    ({ path } = await pull("org/tiny", options));
  });

  test("is the open file that was compared, whatever takes its name meanwhile", async () => {
    for (const verify of [true, false]) {
      // Forces the comparison: the file is remembered as it was before.
      utimesSync(path, new Date(), new Date(verify ? 1000 : 2000));
      const blob = realpathSync(path);
      const [source] = await openLocal("org/tiny", {
        ...options,
        verify,
        onEvent(event) {
          // In the middle of hashing, another file is put in its place.
          if (event.type !== "checking" || event.doneBytes !== MiB) return;
          writeFileSync(`${blob}.new`, modelBytes(bytes.length, 9));
          renameSync(`${blob}.new`, blob);
        },
      });
      expect(readFileSync(path).equals(bytes)).toBe(false);
      expect(Buffer.compare(await read(source, 0, bytes.length), bytes)).toBe(0);
      await source.close();
      // The other file is not taken for the one that was compared.
      await expect(openLocal("org/tiny", options)).rejects.toMatchObject({ code: "store.digest" });
      writeFileSync(blob, bytes);
    }
  });

  test("with verify is compared each time, and reads of bytes changed after that fail", async () => {
    await (await openLocal("org/tiny", options))[0].close();
    expect(checks()).toBe(0);
    for (const at of [5, MiB + 5, bytes.length - 1]) {
      events.length = 0;
      utimesSync(path, 1000, 1000); // whole seconds, which can be put back exactly
      const [source] = await openLocal("org/tiny", { ...options, verify: true });
      expect(checks()).toBeGreaterThan(0);
      changeInPlace(path, at);
      await expect(read(source, 0, bytes.length)).rejects.toMatchObject({ code: "protect.file_changing" });
      await expect(read(source, at, 1)).rejects.toMatchObject({ code: "protect.file_changing" });
      await source.close();
      // Without verify, what is remembered by inode, size and time is believed.
      await (await openLocal("org/tiny", options))[0].close();
      await expect(openLocal("org/tiny", { ...options, verify: true })).rejects.toMatchObject({
        code: "store.digest",
        found: expect.stringMatching(/with the sha256 [0-9a-f]{64}$/),
      });
      writeFileSync(path, bytes);
    }
  });

  test("whose parts are several is compared part by part", async () => {
    hub.add("org/split/m-Q4_0-00001-of-00002.gguf", bytes);
    hub.add("org/split/m-Q4_0-00002-of-00002.gguf", modelBytes(5000, 2));
    const { paths } = await pull("org/split", options);
    const second = readFileSync(paths[1]);
    second[100] ^= 1;
    writeFileSync(paths[1], second);
    await expect(openLocal("org/split", { ...options, verify: true })).rejects.toMatchObject({
      code: "store.digest",
      found: expect.stringContaining("blobs"),
    });
  });

  test("stops where it is aborted", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(openLocal("org/tiny", { ...options, verify: true, signal })).rejects.toThrow("enough");
  });
});

describe("load with verify", () => {
  const before = { ...process.env };
  afterAll(() => {
    process.env = before;
  });

  test("answers as without, and notices a byte that is changed between comparing and loading", async () => {
    hub.files.clear();
    const stories = readFileSync(join(root, "models/clavis-stories-q8_0.gguf"));
    hub.add("org/stories/stories-Q8_0.gguf", stories);
    Object.assign(process.env, environmentOf(hub, emptyFolder()));
    for (const device of ["reference", "auto"] as const) {
      await using model = await load("org/stories", { device, context: 64, pull: true, verify: true });
      const answer = await model.generate("Once", { maxTokens: 2 }).result;
      expect(answer.generatedTokens).toBe(2);
    }
    const [source] = await openLocal("org/stories");
    await source.close();
    // The last byte belongs to a weight; its change leaves the header as it was.
    const at = stories.length - 1;
    const loading = load("org/stories", {
      context: 64,
      verify: true,
      onPull(event) {
        if (event.type !== "checking" || event.doneBytes !== event.allBytes) return;
        const file = openSync(realpathSync(source.path!), "r+");
        writeSync(file, Uint8Array.of(stories[at] ^ 1), 0, 1, at);
        closeSync(file);
      },
    });
    await expect(loading).rejects.toMatchObject({ code: "protect.file_changing" });
  });
});
