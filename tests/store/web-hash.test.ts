import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { Sha256 } from "../../src/store/web-hash.ts";
import { root } from "../support/shared.ts";

// The digest of pages against Node's.

describe("sha256 in WebAssembly", () => {
  let module: WebAssembly.Module;
  beforeAll(async () => {
    module = await WebAssembly.compile(readFileSync(join(root, "dist/kernels/clavis-sha256.wasm")));
  });

  const wanted = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

  test("every length around whole blocks", () => {
    const bytes = randomBytes(300);
    for (let length = 0; length <= bytes.length; length++) {
      const hash = new Sha256(module);
      hash.update(bytes.subarray(0, length));
      expect(hash.digest(), `${length} bytes`).toBe(wanted(bytes.subarray(0, length)));
    }
  });

  test("pieces of any length, some longer than what is taken in at once", () => {
    const bytes = randomBytes(6_000_000);
    for (let round = 0; round < 10; round++) {
      const hash = new Sha256(module);
      for (let at = 0; at < bytes.length; ) {
        const length = Math.floor(Math.random() ** 4 * 3_000_000);
        hash.update(bytes.subarray(at, at + length));
        at += length;
      }
      expect(hash.digest()).toBe(wanted(bytes));
    }
  });

  test("a length in bits of more than 32 bits", () => {
    const piece = randomBytes(2 ** 20);
    const [hash, node] = [new Sha256(module), createHash("sha256")];
    for (let i = 0; i < 513; i++) {
      hash.update(piece);
      node.update(piece);
    }
    expect(hash.digest()).toBe(node.digest("hex"));
  });
});
