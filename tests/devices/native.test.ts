import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { bufferSource } from "../../src/bytes/source.ts";
import type { Batch } from "../../src/devices/device.ts";
import { nativeDevice } from "../../src/devices/native/device.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { common, floatBits, ops, tapeWords, wordOf } from "../../src/plan/tape.ts";
import { addonFile, describeNative } from "../support/native.ts";

/** Four rows of sixteen values, and a tape that only looks them up. */
function smallPlan(): Plan {
  const values = Float32Array.from({ length: 64 }, (_, i) => i);
  const tensor = {
    ...{ name: "rows", type: "F32" as const, shape: [16, 4], values: 64, bytes: 256, offset: 0 },
    source: bufferSource(new Uint8Array(values.buffer)),
  };
  const tape = new Int32Array(tapeWords);
  tape.set([ops.embed.id, 0, 0, 64, -1, 0, -1, 0]);
  tape[wordOf("embed", "n")] = 16;
  tape[wordOf("embed", "scaleBits")] = floatBits(1);
  expect(tape[common.out]).toBe(0);
  return {
    tape,
    weights: [
      {
        ...{ kind: "matrix", name: "rows", type: "F32", rows: 4, width: 16, experts: 1 },
        ...{ parts: [tensor], gathered: true, multiplied: false },
      },
    ],
    cache: { layers: 1, kvHeads: 1, headWidth: 32, type: "f16", pages: 2 },
    limits: { tokens: 4, wanted: 4, sequences: 2, pagesPerSequence: 2 },
    ...{ mode: "reproducible", vocabulary: 16, arenaBytes: 256, logits: 0, logitsStride: 64 },
    ...{ notes: [], readsBytes: [] },
  };
}

const batch = (changes: Partial<Batch> = {}): Batch => ({
  tokens: Int32Array.of(2, 0),
  positions: Int32Array.of(0, 1),
  slots: Int32Array.of(0, 0),
  pageTables: [Int32Array.of(0, 1)],
  wanted: Int32Array.of(0, 1),
  ...changes,
});

describeNative("native: steps", () => {
  test("gives the wanted rows, one after another", async () => {
    const program = await nativeDevice({ threads: 2 }).program(smallPlan());
    const logits = await program.run(batch());
    expect([...logits]).toEqual([...Array.from({ length: 16 }, (_, i) => 32 + i), ...Array(16).keys()]);
    await program.close();
  });

  test("close waits for the step under way", async () => {
    const program = await nativeDevice({ threads: 2 }).program(smallPlan());
    const step = program.run(batch());
    await program.close();
    await expect(step).resolves.toBeDefined();
  });

  test("many programs share the threads", async () => {
    const programs = await Promise.all(
      [1, 2, 3, 4].map((threads) => nativeDevice({ threads }).program(smallPlan())),
    );
    for (let round = 0; round < 50; round++) {
      const all = await Promise.all(programs.map((program) => program.run(batch())));
      expect(all.map((logits) => logits[17])).toEqual([1, 1, 1, 1]);
    }
    await Promise.all(programs.map((program) => program.close()));
  });

  test("more memory than there is gives an error, not a crash", async () => {
    const plan = smallPlan();
    const program = nativeDevice().program({ ...plan, arenaBytes: 2 ** 52 });
    await expect(program).rejects.toMatchObject({ code: "device.memory" });
  });

  test.each([
    ["a cache whose size passes 64 bits", { cache: { layers: 2 ** 31, pages: 2 ** 31 } }, "device.memory"],
    ["an arena of no size at all", { arenaBytes: Number.NaN }, "device.failed"],
    ["a negative arena", { arenaBytes: -1 }, "device.failed"],
  ] as [string, { cache?: object; arenaBytes?: number }, string][])(
    "%s is refused",
    async (_, changes, code) => {
      const plan = smallPlan();
      const wrong = { ...plan, ...changes, cache: { ...plan.cache, ...changes.cache } };
      await expect(nativeDevice().program(wrong)).rejects.toMatchObject({ name: "ClavisError", code });
    },
  );

  test.each([0, -3, 1.5, 1e9, Number.NaN, Number.POSITIVE_INFINITY])(
    "%d threads: as many as there can be, at least one",
    async (threads) => {
      const program = await nativeDevice().program(smallPlan(), { threads });
      expect(program.threads).toBeGreaterThanOrEqual(1);
      expect(program.threads).toBeLessThanOrEqual(64);
      expect((await program.run(batch()))[0]).toBe(32);
      await program.close();
    },
  );

  test("an aborted load frees what it took", async () => {
    const options = { signal: AbortSignal.abort() };
    await expect(nativeDevice().program(smallPlan(), options)).rejects.toThrow(/abort/i);
  });
});

describeNative("native: weights", () => {
  test("take the bytes that are read for a token", () => {
    const device = nativeDevice();
    expect(device.packedType("IQ3_S")).toBe("IQ3_S");
    expect(device.packedRowBytes("Q4_K", 512)).toBe(2 * 144);
    expect(device.packedRowBytes("IQ3_S", 512)).toBe(2 * (2 + 4 + 128));
    expect(device.packedRowBytes("IQ2_S", 512)).toBe(2 * (2 + 8 + 32 + 64));
    expect(device.packedRowBytes("TQ1_0", 512)).toBe((512 / 32) * 34);
  });
});

describeNative("native: measurements", () => {
  test.each([1, 2, 4])("with %d threads: figures that a machine can have", async (threads) => {
    const device = nativeDevice({ threads });
    const measured = await device.measure!();
    expect(measured.threads).toBe(threads);
    // From a slow phone to more than any memory and any matrix unit of one processor has.
    expect(measured.readBytesPerSecond).toBeGreaterThan(1e8);
    expect(measured.readBytesPerSecond).toBeLessThan(1e13);
    expect(measured.integerOpsPerSecond).toBeGreaterThan(1e8);
    // AMX: 16 · 16 · 64 products and as many sums in 16 cycles of 6 GHz; 64 cores.
    expect(measured.integerOpsPerSecond).toBeLessThan(2 * 1024 * 6e9 * 64);
  });

  test("beside a program at work, whose results stay what they are", async () => {
    const device = nativeDevice({ threads: 2 });
    const program = await device.program(smallPlan());
    const [measured, ...steps] = await Promise.all([
      device.measure!(),
      (async () => {
        const rows: number[] = [];
        for (let i = 0; i < 20; i++) rows.push((await program.run(batch()))[0]);
        return rows;
      })(),
    ]);
    expect(measured.readBytesPerSecond).toBeGreaterThan(1e8);
    expect(steps[0]).toEqual(Array(20).fill(32));
    await program.close();
  });

  test("the processor's instruction sets hold the level of the kernels", async () => {
    const { kernels } = await nativeDevice().describe();
    const names = nativeDevice()
      .features()!
      .map((name) => name.toLowerCase().replaceAll("-", ""));
    if (kernels !== "baseline") expect(names.some((name) => name.startsWith(kernels))).toBe(true);
    const flags = process.platform === "linux" ? readFileSync("/proc/cpuinfo", "latin1") : "";
    if (process.arch !== "x64" || flags === "") return;
    const system = (flag: string) => new RegExp(`^flags.*\\b${flag}\\b`, "m").test(flags);
    for (const [name, flag] of [
      ["ssse3", "ssse3"],
      ["avx2", "avx2"],
      ["avxvnni", "avx_vnni"],
      ["avx512", "avx512dq"],
      ["avx512vnni", "avx512_vnni"],
      ["avx512bf16", "avx512_bf16"],
      ["amxint8", "amx_int8"],
      ["amxbf16", "amx_bf16"],
    ]) {
      expect(names.includes(name), name).toBe(system(flag));
    }
  });
});

describeNative("native: ends", () => {
  /** Starts steps and ends its thread at once, while they are under way. */
  const hasty = `
    const addon = require(require("node:worker_threads").workerData);
    const none = new Int32Array(0);
    const options = { threads: 2, tape: none, weights: new Float64Array(0), arenaBytes: 64, layers: 1, kvHeads: 1,
      headWidth: 32, pages: 1, quantized: 0, tokens: 1, pagesPerSequence: 1, logits: 0, logitsStride: 64, vocabulary: 1,
      wanted: 1, fast: 0 };
    for (let i = 0; i < 50; i++) {
      addon.run(addon.open(options), none, none, none, none, none, new Float32Array(1));
    }
    process.exit(7);`;

  test("a worker that ends while its steps are under way takes nothing with it", async () => {
    const codes = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const worker = new Worker(hasty, { eval: true, workerData: addonFile, execArgv: [] });
        const [code] = await once(worker, "exit");
        return code;
      }),
    );
    expect(codes).toEqual(Array(8).fill(7));
    const program = await nativeDevice({ threads: 2 }).program(smallPlan());
    expect((await program.run(batch()))[0]).toBe(32);
    await program.close();
  });

  test("a process whose model was never closed ends by itself", () => {
    const script = `
      const addon = require(process.argv[1]);
      const none = new Int32Array(0);
      const program = addon.open({ threads: 2, tape: none, weights: new Float64Array(0), arenaBytes: 64, layers: 1,
        kvHeads: 1, headWidth: 32, pages: 1, quantized: 0, tokens: 1, pagesPerSequence: 1, logits: 0,
        logitsStride: 64, vocabulary: 1, wanted: 1, fast: 0 });
      addon.run(program, none, none, none, none, none, new Float32Array(1)).then(() => console.log("done"));`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", script, addonFile!], {
      encoding: "utf8",
      timeout: 20_000,
    });
    expect(stderr).toBe("");
    expect([status, stdout]).toEqual([0, "done\n"]);
  });
});

describeNative("native: the team of threads", () => {
  test.runIf(process.platform === "linux")("one for all models, asleep when there is nothing to do", () => {
    const script = `
      const { readdirSync } = require("node:fs");
      const addon = require(process.argv[1]);
      const none = new Int32Array(0);
      const open = (threads) => addon.open({ threads, tape: none, weights: new Float64Array(0), arenaBytes: 64,
        layers: 1, kvHeads: 1, headWidth: 32, pages: 1, quantized: 0, tokens: 1, pagesPerSequence: 1, logits: 0,
        logitsStride: 64, vocabulary: 1, wanted: 1, fast: 0 });
      const run = (program) => addon.run(program, none, none, none, none, none, new Float32Array(1));
      const count = () => readdirSync("/proc/self/task").length;
      (async () => {
        const before = count();
        const programs = [3, 2, 3, 1, 3].map(open);
        for (let i = 0; i < 20; i++) await Promise.all(programs.map(run));
        const started = count() - before;
        await new Promise((resolve) => setTimeout(resolve, 50));
        const start = process.cpuUsage();
        await new Promise((resolve) => setTimeout(resolve, 400));
        const { user, system } = process.cpuUsage(start);
        console.log(JSON.stringify({ started, idleMs: (user + system) / 1000 }));
      })();`;
    const { stdout, stderr } = spawnSync(process.execPath, ["-e", script, addonFile!], {
      encoding: "utf8",
      timeout: 20_000,
    });
    expect(stderr).toBe("");
    const { started, idleMs } = JSON.parse(stdout);
    expect(started).toBe(3);
    // One thread that spun would take 400.
    expect(idleMs).toBeLessThan(100);
  });
});

describeNative("native: how it was compiled", () => {
  const output = (command: string, ...args: string[]) =>
    spawnSync(command, [...args, addonFile!], { encoding: "utf8", maxBuffer: 2 ** 26 }).stdout;

  test.runIf(process.platform === "linux")(
    "tables of addresses are read-only once loaded, and the stack is not executable",
    () => {
      const headers = output("readelf", "-W", "--program-headers");
      const dynamic = output("readelf", "-W", "--dynamic");
      expect(headers).toMatch(/GNU_RELRO/);
      expect(headers).toMatch(/GNU_STACK.* RW /);
      expect(dynamic).toMatch(/FLAGS_1.*NOW/);
      expect(dynamic).toMatch(/FLAGS_1.*NODELETE/);
    },
  );

  test.runIf(process.platform === "linux")("stacks are guarded, copies checked, jumps marked", () => {
    const symbols = output("readelf", "-W", "--dyn-syms");
    expect(symbols).toMatch(/__stack_chk_fail/);
    expect(symbols).toMatch(/__mem(cpy|set)_chk/);
    const entry = output("objdump", "--disassemble=napi_register_module_v1");
    expect(entry).toMatch(process.arch === "arm64" ? /\b(bti|paciasp)\b/ : /\bendbr64\b/);
  });
});
