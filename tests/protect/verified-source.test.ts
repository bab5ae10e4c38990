import { createHash, randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openFile } from "../../src/bytes/node-file.ts";
import { bufferSource, read } from "../../src/bytes/source.ts";
import { verifiedSource } from "../../src/protect/node-verified-source.ts";
import type { Serialization } from "../../src/protect/statement.ts";
import { changeInPlace } from "../support/tampering.ts";
import { refused, testFolder } from "./files.ts";

const folder = testFolder();
const MiB = 2 ** 20;
const whole: Serialization = { method: "files", hashType: "sha256", allowSymlinks: false };
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Two pieces and a part of a third. */
const content = randomBytes(2 * MiB + 1234);
const resources = [{ path: "model.gguf", digest: sha256(content) }];

function write(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe("a verified source", () => {
  test("gives the bytes of any range", async () => {
    const source = await verifiedSource(bufferSource(content), resources, whole);
    await fc.assert(
      fc.asyncProperty(fc.nat(content.length), fc.nat(content.length), async (a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b)];
        const bytes = await read(source, start, end - start);
        expect(Buffer.compare(bytes, content.subarray(start, end))).toBe(0);
      }),
      { numRuns: 50 },
    );
    await expect(read(source, content.length, 1)).rejects.toMatchObject({ code: "source.range" });
  });

  test("is refused where any byte differs from what was signed", async () => {
    for (const at of [0, MiB - 1, MiB, content.length - 1]) {
      const other = Uint8Array.from(content);
      other[at] ^= 0x80;
      await refused(verifiedSource(bufferSource(other), resources, whole), "protect.file_changed");
    }
    const short = bufferSource(content.subarray(0, -1));
    await refused(verifiedSource(short, resources, whole), "protect.file_changed");
  });

  test("refuses reads of bytes that were changed after they were verified, whatever the file's times say", async () => {
    for (const at of [5, MiB + 5, content.length - 1]) {
      const path = write(`changed-${at}`);
      const source = await verifiedSource(await openFile(path), resources, whole);
      changeInPlace(path, at);
      const target = new Uint8Array(content.length);
      expect(await refused(source.readInto(0, target), "protect.file_changing")).toContain(`changed-${at}`);
      await refused(read(source, at, 1), "protect.file_changing");
      // What was not changed is still what was signed.
      const elsewhere = at < MiB ? MiB : 0;
      expect(
        Buffer.compare(await read(source, elsewhere, 10), content.subarray(elsewhere, elsewhere + 10)),
      ).toBe(0);
      await source.close();
    }
  });

  test("goes on with the file that was verified where another takes its name", async () => {
    const path = write("replaced");
    const source = await verifiedSource(await openFile(path), resources, whole);
    writeFileSync(`${path}.new`, randomBytes(content.length));
    renameSync(`${path}.new`, path);
    expect(Buffer.compare(await read(source, 0, content.length), content)).toBe(0);
    expect(Buffer.compare(readFileSync(path), content)).not.toBe(0);
    await source.close();
  });

  test("reads into memory that threads share", async () => {
    const source = await verifiedSource(bufferSource(content), resources, whole);
    const target = new Uint8Array(new SharedArrayBuffer(content.length));
    await source.readInto(0, target);
    expect(sha256(target)).toBe(resources[0].digest);
  });

  test("shards whose ends lie inside pieces", async () => {
    for (const shardBytes of [1000, MiB, MiB + 7, content.length, 10 * MiB]) {
      const shards = [];
      for (let start = 0; start < content.length; start += shardBytes) {
        const end = Math.min(content.length, start + shardBytes);
        shards.push({ path: "m", range: { start, end }, digest: sha256(content.subarray(start, end)) });
      }
      const sharded: Serialization = { ...whole, method: "shards", shardBytes };
      await verifiedSource(bufferSource(content), shards, sharded);
      if (shards.length > 1) {
        await refused(
          verifiedSource(bufferSource(content), shards.slice(1), sharded),
          "protect.file_changed",
        );
      }
    }
  });

  test("an empty file", async () => {
    const empty = [{ path: "m", digest: sha256(new Uint8Array()) }];
    const source = await verifiedSource(bufferSource(new Uint8Array()), empty, whole);
    expect(await read(source, 0, 0)).toHaveLength(0);
  });

  test("stops where it is aborted", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(verifiedSource(bufferSource(content), resources, whole, { signal })).rejects.toThrow(
      "enough",
    );
  });
});
