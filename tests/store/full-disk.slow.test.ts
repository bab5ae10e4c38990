import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { list } from "../../src/store/list.ts";
import { openLocal } from "../../src/store/open-local.ts";
import { pull } from "../../src/store/pull.ts";
import { clavis, describeBuilt } from "../cli/clavis.ts";
import { HubServer } from "./hub-server.ts";
import { emptyFolder, environmentOf, modelBytes, optionsFor } from "./store-folder.ts";

// Disks that are full, cannot be written, or are no disks: real ones, as far as this user may mount them.

const MiB = 2 ** 20;
const bytes = modelBytes(6 * MiB + 123);
const name = "hf.co/org/tiny/m-Q4_0.gguf";

const mounted: string[] = [];
afterEach(() => {
  for (const folder of mounted.splice(0)) spawnSync("umount", [folder]);
});

/** An empty file system of its own. */
function mount(options: string): string {
  const folder = emptyFolder();
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
  if (status !== 0) throw new Error(stderr.toString());
  mounted.push(folder);
  return folder;
}

const remount = (folder: string, options: string) =>
  expect(spawnSync("mount", ["-o", `remount,${options}`, folder]).status).toBe(0);

function mayMount(): boolean {
  const folder = emptyFolder();
  const may = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]).status === 0;
  if (may) spawnSync("umount", [folder]);
  return may;
}

function describeMounts(title: string, body: () => void): void {
  const may = mayMount();
  describe.skipIf(!may)(may ? title : `${title} (skipped: this user may not mount a file system)`, body);
}

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.reset();
  hub.add("org/tiny/m-Q4_0.gguf", bytes);
});

const blobsIn = (folder: string) => join(folder, "hf/hub/models--org--tiny/blobs");
const partOptions = (folder: string) => ({ ...optionsFor(hub, folder), partBytes: MiB });

describeMounts("a disk that becomes full during a download", () => {
  /** Room for the model and the reserve, of which something else takes all but `left` once bytes arrive. */
  function takenMeanwhile(left: number): { folder: string; filler: string } {
    const folder = mount("size=80m");
    const filler = join(folder, "filler");
    hub.next = (stage) => {
      if (stage === "bytes" && !existsSync(filler)) writeFileSync(filler, Buffer.alloc(80 * MiB - left));
      return undefined;
    };
    return { folder, filler };
  }

  test("is an error that says so; nothing is installed, and the download goes on when there is room", async () => {
    const { folder, filler } = takenMeanwhile(3 * MiB);
    await expect(pull(name, partOptions(folder))).rejects.toMatchObject({
      code: "pull.space",
      found: expect.stringContaining("ENOSPC"),
      next: expect.stringContaining("clavis rm"),
    });
    const [partial, ...rest] = readdirSync(blobsIn(folder)).filter((one) => !/\.json/.test(one));
    expect(partial).toMatch(/\.clavis\.incomplete$/);
    expect(rest).toEqual([]);
    expect(existsSync(join(blobsIn(folder), "../snapshots"))).toBe(false);
    expect(readdirSync(join(folder, "hf/hub/.locks/models--org--tiny"))).toEqual([]);
    await expect(openLocal(name, partOptions(folder))).rejects.toMatchObject({ code: "model.not_local" });
    // Before the next try, the space is looked at again.
    await expect(pull(name, partOptions(folder))).rejects.toMatchObject({ code: "pull.space" });
    rmSync(filler);
    hub.next = () => undefined;
    const { path } = await pull(name, partOptions(folder));
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(readdirSync(blobsIn(folder))).toHaveLength(1);
  });

  test("to the last byte, with no room even for a lock", async () => {
    const { folder, filler } = takenMeanwhile(3 * MiB);
    await expect(pull(name, partOptions(folder))).rejects.toMatchObject({ code: "pull.space" });
    writeFileSync(`${filler}2`, Buffer.alloc(1));
    for (const size of [MiB, 4096]) {
      try {
        for (let i = 0; ; i++) writeFileSync(`${filler}-${size}-${i}`, Buffer.alloc(size));
      } catch {
        // That is the point.
      }
    }
    await expect(pull(name, partOptions(folder))).rejects.toMatchObject({ code: "pull.space" });
    for (const one of readdirSync(folder)) if (/^filler/.test(one)) rmSync(join(folder, one));
    hub.next = () => undefined;
    // No lock is left behind that would have to grow old first.
    const start = performance.now();
    const { path } = await pull(name, partOptions(folder));
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  describeBuilt("told by the command", () => {
    test("with exit code 1", async () => {
      const { folder } = takenMeanwhile(3 * MiB);
      const { code, stdout, stderr } = await clavis(["pull", name], { env: environmentOf(hub, folder) });
      expect(code).toBe(1);
      expect(stdout).toBe("");
      expect(stderr).toMatch(
        /^clavis: pull\.space: .*ENOSPC.*\n {2}expected: .*\n {2}next: Free some space/m,
      );
    });
  });
});

describeMounts("a disk", () => {
  test("with room, but not for one more file", async () => {
    // Root of the file system, hf, hub, .locks and a few more.
    const folder = mount("size=80m,nr_inodes=8");
    await expect(pull(name, partOptions(folder))).rejects.toMatchObject({ code: "pull.space" });
    remount(folder, "nr_inodes=1000");
    expect(readFileSync((await pull(name, partOptions(folder))).path).equals(bytes)).toBe(true);
  });

  test("that is too small from the beginning is refused before anything is written", async () => {
    const folder = mount("size=4m");
    await expect(pull(name, partOptions(folder))).rejects.toMatchObject({
      code: "pull.space",
      found: expect.stringContaining("0 bytes free"),
    });
    expect(readdirSync(blobsIn(folder))).toEqual([]);
  });

  test("that cannot be written serves what is on it", async () => {
    const folder = mount("size=80m");
    const { path } = await pull(name, partOptions(folder));
    remount(folder, "ro");
    // Also with a look for news, and also where it cannot be remembered that the digest was right.
    expect((await pull(name, partOptions(folder))).path).toBe(path);
    await (await openLocal(name, { ...partOptions(folder), verify: true }))[0].close();
    expect((await list(partOptions(folder))).map((model) => model.name)).toContain("org/tiny:Q4_0");
    hub.add("org/more/m-Q4_0.gguf", modelBytes(5000, 2));
    await expect(pull("org/more", partOptions(folder))).rejects.toMatchObject({
      code: "pull.write",
      found: expect.stringContaining("EROFS"),
    });
  });
});

describe("a folder for models", () => {
  test("that is a file", async () => {
    const folder = emptyFolder();
    const file = join(folder, "file");
    writeFileSync(file, "something of mine");
    for (const HF_HUB_CACHE of [file, join(file, "hub")]) {
      const options = optionsFor(hub, folder, { HF_HUB_CACHE });
      await expect(pull(name, options)).rejects.toMatchObject({
        code: "pull.write",
        found: expect.stringMatching(/ENOTDIR|EEXIST/),
        next: expect.stringContaining("HF_HUB_CACHE"),
      });
      expect((await list(options)).map((model) => model.name)).toEqual(["stories"]);
      await expect(openLocal(name, options)).rejects.toMatchObject({ code: "model.not_local" });
    }
    expect(readFileSync(file, "utf8")).toBe("something of mine");
  });

  const isRoot = process.getuid?.() === 0;
  test.skipIf(isRoot || process.platform === "win32")(
    `that this user may not write${isRoot ? " (skipped: root may)" : ""}`,
    async () => {
      const folder = emptyFolder();
      const hubFolder = join(folder, "hf/hub");
      mkdirSync(hubFolder, { recursive: true });
      chmodSync(hubFolder, 0o555);
      await expect(pull(name, optionsFor(hub, folder))).rejects.toMatchObject({
        code: "pull.write",
        found: expect.stringContaining("EACCES"),
      });
      chmodSync(hubFolder, 0o755);
    },
  );

  test("takes the longest names that file systems take, and refuses longer ones beforehand", async () => {
    const longest = `${"n".repeat(250)}.gguf`;
    const wide = `${"ä".repeat(125)}.gguf`;
    const folder = emptyFolder();
    for (const file of [longest, wide]) {
      hub.add(`org/long/${file}`, modelBytes(5000, file.length));
      const { path } = await pull(`hf.co/org/long/${file}`, optionsFor(hub, folder));
      expect(path.endsWith(file)).toBe(true);
    }
    for (const file of [`n${longest}`, `ä${wide}`]) {
      await expect(pull(`hf.co/org/long/${file}`, optionsFor(hub, folder))).rejects.toMatchObject({
        code: "model.file_name",
        expected: "names of at most 255 bytes",
      });
    }
    const url = (file: string) => `${hub.bytesOrigin}/org/long/resolve/main/${file}`;
    const fits = `${"n".repeat(225)}.gguf`;
    hub.add(`org/long/${fits}`, modelBytes(5000, 3));
    expect((await pull(url(fits), optionsFor(hub, folder))).downloadedBytes).toBe(5000);
    await expect(pull(url(longest), optionsFor(hub, folder))).rejects.toMatchObject({
      code: "model.file_name",
    });
  });
});
