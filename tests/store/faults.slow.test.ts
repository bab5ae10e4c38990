import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ClavisError } from "../../src/errors.ts";
import { pull } from "../../src/store/pull.ts";
import { resolve } from "../../src/store/resolve.ts";
import { random as uniform } from "../support/random.ts";
import { drawnFault } from "./faults.ts";
import { HubServer } from "./hub-server.ts";
import { emptyFolder, modelBytes, optionsFor } from "./store-folder.ts";

// Schedules of faults drawn at random, by seed. Whatever goes wrong, a pull ends with the whole file or with an
// error of ours, nothing but whole files has a model's name, and a pull without faults mends what is left.

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.redirects = true;
  hub.next = () => undefined;
});

const schedules = 200;

describe("pull", () => {
  test(`${schedules} schedules of faults`, async () => {
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= schedules; seed++) {
      const outcome = await schedule(seed).catch((error) => {
        throw new Error(`schedule ${seed}: ${error instanceof Error ? error.stack : error}`);
      });
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // Not all faults can be survived, but most schedules should be.
    expect(outcomes.get("whole")).toBeGreaterThan(schedules / 4);
    expect(outcomes.size).toBeGreaterThan(4);
  });
});

async function schedule(seed: number): Promise<string> {
  const random = uniform(seed);
  const size = 1 + Math.floor(random() ** 2 * 40_000) + 4;
  const bytes = modelBytes(size, seed);
  const rate = random() * 0.4;
  hub.files.clear();
  const digest = hub.add("org/tiny/model-Q4_0.gguf", bytes);
  hub.redirects = random() < 0.7;
  const folder = emptyFolder();
  const options = { ...optionsFor(hub, folder), connections: 1 + Math.floor(random() * 4), partBytes: 4096 };
  const repo = join(folder, "hf/hub/models--org--tiny");
  hub.next = (stage) => (random() < rate ? drawnFault(random, stage, Math.min(size, 4096)) : undefined);
  let outcome = "whole";
  let installed = false;
  for (let run = 0; run < 2; run++) {
    try {
      const { path } = await pull("org/tiny", options);
      expect(readFileSync(path).equals(bytes)).toBe(true);
      outcome = "whole";
      installed = true;
    } catch (error) {
      if (!(error instanceof ClavisError)) throw error;
      outcome = error.code;
      expect(error.code).toMatch(/^(net|pull)\./);
      if (installed) continue; // faults while looking for news take nothing away
      expect(existsSync(join(repo, "blobs", digest))).toBe(false);
      expect(existsSync(join(repo, "snapshots"))).toBe(false);
      await expect(resolve("org/tiny", options)).rejects.toMatchObject({ code: "model.not_local" });
    }
    const blobs = existsSync(join(repo, "blobs")) ? readdirSync(join(repo, "blobs")) : [];
    expect(
      blobs.filter((name) => name !== digest && !name.startsWith(`${digest}.clavis.incomplete`)),
    ).toEqual([]);
  }
  hub.next = () => undefined;
  const { path } = await pull("org/tiny", options);
  expect(readFileSync(path).equals(bytes)).toBe(true);
  expect(readdirSync(join(repo, "blobs"))).toEqual([digest]);
  expect(readdirSync(join(folder, "hf/hub/.locks/models--org--tiny"))).toEqual([]);
  return outcome;
}
