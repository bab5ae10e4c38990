import { describe, expect, test } from "vitest";
import type { Batch, Device } from "../../src/devices/device.ts";
import { nativeDevice } from "../../src/devices/native/device.ts";
import { reference } from "../../src/devices/reference/device.ts";
import { wasmDevice } from "../../src/devices/wasm/device.ts";
import { nodePlatform } from "../../src/devices/wasm/node-platform.ts";
import { SmallTape, values } from "../kernels/small-tape.ts";
import { addonFile } from "../support/native.ts";

// Steps that would lead kernels out of their memory, or out of order: refused by every device before anything runs.

const devices: readonly (readonly [string, Device])[] = [
  ["reference", reference],
  ["wasm, no workers", wasmDevice(nodePlatform, { threads: 0 })],
  ["wasm, 2 workers", wasmDevice(nodePlatform, { threads: 2 })],
  ...(addonFile ? ([["native", nativeDevice({ threads: 2 })]] as const) : []),
];

/** Eight rows of keys, values and queries; two sequences of up to four pages of a cache of six. */
function plan() {
  const n = 32;
  const tape = new SmallTape(8);
  const [q, k, v] = [1, 2, 3].map((seed) => tape.input(n, values(8 * n, seed)));
  const out = tape.region(n);
  const shown = tape.region(n);
  tape.call("kvStore", { a: k, b: v }, { layer: 0, n, heads: 1 });
  const words = { layer: 0, n, heads: 1, kvHeads: 1, window: 0, scaleBits: 1, softcapBits: 0 };
  tape.call("attention", { out, a: q }, words);
  tape.call("gatherRows", { out: shown, a: out, rows: 1 }, { n });
  return tape.plan(shown, { headWidth: n, pages: 6 }, 2, 4);
}

const ids = (...numbers: number[]) => Int32Array.from(numbers);

const good: Batch = {
  tokens: ids(0, 1, 2, 3),
  positions: ids(0, 1, 7, 8),
  slots: ids(0, 0, 1, 1),
  pageTables: [ids(0, 1), ids(5)],
  wanted: ids(1, 3),
};

const bad: Readonly<Record<string, Partial<Record<keyof Batch, unknown>>>> = {
  "a token past the matrix": { tokens: ids(0, 1, 2, 8) },
  "a negative token": { tokens: ids(0, 1, 2, -1) },
  "a position past its pages": { positions: ids(0, 64, 7, 8) },
  "a negative position": { positions: ids(-1, 1, 7, 8) },
  "a slot without a table": { slots: ids(0, 0, 2, 2) },
  "a negative slot": { slots: ids(-1, 0, 1, 1) },
  "a page past the cache": { pageTables: [ids(0, 6), ids(5)] },
  "a negative page": { pageTables: [ids(0, -1), ids(5)] },
  "more pages than a sequence may have": { pageTables: [ids(0, 1, 2, 3, 4), ids(5)] },
  "more sequences than there may be": { pageTables: [ids(0), ids(1), ids(2)] },
  "a wanted row past the tokens": { wanted: ids(4) },
  "a negative wanted row": { wanted: ids(-1) },
  "more wanted rows than there may be": { wanted: ids(0, 1, 2, 3, 0, 1, 2, 3, 0) },
  "fewer positions than tokens": { positions: ids(0, 1) },
  "fewer slots than tokens": { slots: ids(0, 0) },
  "positions that descend": { positions: ids(63, 1, 7, 8) },
  "a position twice": { positions: ids(1, 1, 7, 8) },
  "a sequence in two places": { slots: ids(0, 1, 0, 1), positions: ids(0, 1, 2, 3) },
  "tokens as an ordinary array": { tokens: [0, 1, 2, 3] },
  "tokens as bytes": { tokens: Uint8Array.of(0, 1, 2, 3) },
  "positions as numbers with fractions": { positions: Float64Array.of(0, 1.5, 7, 8) },
  "no slots": { slots: undefined },
  "a page table as an ordinary array": { pageTables: [[0, 1], ids(5)] },
  "no page tables": { pageTables: undefined },
};

describe.each(devices)("%s", (_name, device) => {
  test("refuses bad steps, and goes on as if there had been none", async () => {
    const program = await device.program(plan());
    const before = (await program.run(good)).slice();
    expect(before.length).toBe(64);
    for (const [what, changes] of Object.entries(bad)) {
      const step = program.run({ ...good, ...changes } as Batch);
      await expect(step, what).rejects.toMatchObject({ name: "ClavisError", code: "device.step" });
    }
    expect((await program.run(good)).slice()).toEqual(before);
    await program.close();
  });

  test("a step without tokens gives no logits", async () => {
    const program = await device.program(plan());
    const none = ids();
    const step = { tokens: none, positions: none, slots: none, pageTables: [], wanted: none };
    expect((await program.run(step)).length).toBe(0);
    await program.close();
  });

  test("two steps at once, steps after close, two closes", async () => {
    const program = await device.program(plan());
    const steps = await Promise.allSettled([program.run(good), program.run(good)]);
    // Without workers the first step is over when the second begins.
    const outcomes = steps.map((step) => (step.status === "rejected" ? step.reason.code : "done"));
    expect(outcomes[0]).toBe("done");
    expect(outcomes[1]).toBe(_name === "wasm, no workers" ? "done" : "device.busy");
    await Promise.all([program.close(), program.close()]);
    await expect(program.run(good)).rejects.toMatchObject({ code: "device.closed" });
  });

  test("closing under way: the step ends, with its result or as closed", async () => {
    const program = await device.program(plan());
    const step = program.run(good).then(
      (logits) => logits.length,
      (error) => error.code,
    );
    await program.close();
    expect([64, "device.closed"]).toContain(await step);
  });
});
