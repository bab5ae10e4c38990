import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { StoreOptions } from "../../src/store/options.ts";
import { defaultPatience, type Patience } from "../../src/store/retry.ts";
import { settingsFrom } from "../../src/store/settings.ts";
import type { HubServer } from "./hub-server.ts";

/** Waits as short as a test's. */
export const impatient: Patience = {
  ...defaultPatience,
  firstWaitMs: 1,
  longestWaitMs: 4,
  longestRetryAfterMs: 1500,
  stallMs: 150,
  stallBytes: 64,
};

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** An empty folder that is removed after the tests of the file. */
export function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "clavis-store-"));
  folders.push(folder);
  return folder;
}

/** The variables of a process that uses a server and a folder, and no proxy, whatever this machine is set to. */
export function environmentOf(hub: HubServer, folder: string): Record<string, string> {
  return {
    HF_ENDPOINT: hub.endpoint,
    HF_HOME: join(folder, "hf"),
    XDG_CACHE_HOME: folder,
    NO_PROXY: "127.0.0.1,localhost",
    no_proxy: "127.0.0.1,localhost",
  };
}

export function optionsFor(
  hub: HubServer,
  folder: string,
  environment: Record<string, string> = {},
): StoreOptions {
  return {
    settings: settingsFrom({ ...environmentOf(hub, folder), ...environment }),
    patience: impatient,
    partBytes: 4096,
  };
}

/** Bytes that begin as a GGUF file does and are otherwise random, by a seed. */
export function modelBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    // xorshift, 32 bits
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  bytes.set([0x47, 0x47, 0x55, 0x46]);
  return bytes;
}
