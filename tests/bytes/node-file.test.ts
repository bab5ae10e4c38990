import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFile, openModelFiles } from "../../src/bytes/node-file.ts";
import { writeFileWhole } from "../../src/bytes/node-file-sink.ts";
import { read } from "../../src/bytes/source.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "clavis-files-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const made = (name: string, bytes: Uint8Array | string = "abcdef") => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};

describe("openFile", () => {
  test("gives name, size and ranges, also into shared memory", async () => {
    const source = await openFile(made("letters"));
    expect([source.name, source.size]).toEqual(["letters", 6]);
    expect(await read(source, 2, 3)).toEqual(new TextEncoder().encode("cde"));
    const shared = new Uint8Array(new SharedArrayBuffer(6));
    await source.readInto(0, shared);
    expect([...shared]).toEqual([...Buffer.from("abcdef")]);
    await expect(read(source, 5, 2)).rejects.toMatchObject({ code: "source.range" });
    await source.close();
    await source.close();
    await expect(read(source, 0, 1)).rejects.toMatchObject({ code: "source.closed" });
  });

  test("a file that became shorter is told as such", async () => {
    const path = made("shrinking", new Uint8Array(100));
    const source = await openFile(path);
    truncateSync(path, 40);
    await expect(read(source, 0, 100)).rejects.toThrow(
      /^source\.shrank: "shrinking" ended at byte 40 while it was being read; expected 100 bytes/,
    );
    await source.close();
  });

  test("a missing path, a folder, a path through a file", async () => {
    await expect(openFile(join(folder, "absent"))).rejects.toMatchObject({ code: "source.missing" });
    await expect(openFile(folder)).rejects.toMatchObject({ code: "source.directory" });
    await expect(openFile(join(made("file"), "inside"))).rejects.toMatchObject({ code: "source.missing" });
  });

  test.skipIf(process.platform === "win32")("a named pipe is refused instead of waited for", async () => {
    const path = join(folder, "pipe");
    execFileSync("mkfifo", [path]);
    await expect(openFile(path)).rejects.toMatchObject({ code: "source.not_a_file" });
  });

  // Who may read everything cannot be refused.
  test.skipIf(process.getuid?.() === 0)("a file without permission", async () => {
    const path = made("secret");
    chmodSync(path, 0);
    await expect(openFile(path)).rejects.toMatchObject({ code: "source.permission" });
  });
});

describe("openModelFiles", () => {
  const names = [1, 2, 3].map((n) => `m-0000${n}-of-00003.gguf`);

  test("opens all parts from the name of any, and one file under any other name", async () => {
    for (const name of names) made(name, name);
    for (const name of names) {
      const sources = await openModelFiles(join(folder, name));
      expect(sources.map((source) => source.name)).toEqual(names);
      await Promise.all(sources.map((source) => source.close()));
    }
    const [only, ...none] = await openModelFiles(made("whole.gguf"));
    expect([only.name, none.length]).toEqual(["whole.gguf", 0]);
    await only.close();
  });

  test("names the part that is missing", async () => {
    for (const name of names) made(name, name);
    rmSync(join(folder, names[1]));
    await expect(openModelFiles(join(folder, names[2]))).rejects.toThrow(
      /^gguf\.part_missing: part 2 of 3 is missing: no file at ".*m-00002-of-00003\.gguf"/,
    );
    await expect(openModelFiles(join(folder, names[1]))).rejects.toMatchObject({ code: "source.missing" });
    await expect(openModelFiles(join(folder, "m-00004-of-00003.gguf"))).rejects.toMatchObject({
      code: "gguf.part_number",
    });
  });
});

describe("writeFileWhole", () => {
  const inFolder = (name: string) => {
    const path = join(folder, name);
    mkdirSync(path);
    return path;
  };

  test("puts the bytes in place, over a file that was there", async () => {
    const path = join(inFolder("good"), "out");
    writeFileSync(path, "before");
    await writeFileWhole(path, async (sink) => {
      await sink.write(Uint8Array.of(1, 2));
      expect(readFileSync(path, "utf8")).toBe("before");
      await sink.write(Uint8Array.of(3));
    });
    expect([...readFileSync(path)]).toEqual([1, 2, 3]);
    expect(readdirSync(join(path, ".."))).toEqual(["out"]);
  });

  test("leaves nothing behind, and what was there alone, when writing fails", async () => {
    const path = join(inFolder("bad"), "out");
    writeFileSync(path, "before");
    const failure = new Error("in the middle");
    const failing = writeFileWhole(path, async (sink) => {
      await sink.write(new Uint8Array(1000));
      throw failure;
    });
    await expect(failing).rejects.toBe(failure);
    expect(readFileSync(path, "utf8")).toBe("before");
    expect(readdirSync(join(path, ".."))).toEqual(["out"]);
  });

  test("a folder that is not there, and a folder in the file's place", async () => {
    const write = async () => {};
    await expect(writeFileWhole(join(folder, "no/where"), write)).rejects.toMatchObject({
      code: "sink.folder",
    });
    const taken = inFolder("taken");
    writeFileSync(join(taken, "inside"), "");
    await expect(writeFileWhole(taken, write)).rejects.toMatchObject({ code: "sink.write" });
    expect(readdirSync(folder).filter((name) => name.includes("partial"))).toEqual([]);
  });

  test.each([
    ["ENOSPC", "sink.full"],
    ["EACCES", "sink.permission"],
    ["EIO", "sink.write"],
  ])("the system's %s in the middle becomes %s, and nothing stays", async (systemCode, code) => {
    const place = inFolder(systemCode);
    const failing = writeFileWhole(join(place, "out"), async (sink) => {
      await sink.write(new Uint8Array(1000));
      throw Object.assign(new Error(systemCode), { code: systemCode, syscall: "write" });
    });
    await expect(failing).rejects.toMatchObject({ code });
    expect(readdirSync(place)).toEqual([]);
  });
});
