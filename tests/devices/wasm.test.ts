import { describe, expect, test } from "vitest";
import type { ByteSource } from "../../src/bytes/source.ts";
import { bufferSource } from "../../src/bytes/source.ts";
import { wasmDevice } from "../../src/devices/wasm/device.ts";
import { nodePlatform } from "../../src/devices/wasm/node-platform.ts";
import type { WasmPlatform } from "../../src/devices/wasm/platform.ts";
import type { MatrixWeight, Plan } from "../../src/plan/plan.ts";
import { expectSameBits, SmallTape, stepOf, values, wasmDevices } from "../kernels/small-tape.ts";

// The device around its kernels: loading, refusing, failing, ending.

const device = wasmDevice(nodePlatform, { threads: 2 });

/** A plan whose step adds a row to itself. */
function doubling(n = 8): Plan {
  const tape = new SmallTape(4);
  const a = tape.input(n, values(4 * n, 1));
  const out = tape.region(n);
  tape.call("add", { out, a, b: a }, { n });
  return tape.plan(out);
}

describe("program", () => {
  test("runs steps of several sizes, and one after the other has to wait", async () => {
    const program = await device.program(doubling());
    expect(program.threads).toBe(2);
    expect((await program.run(stepOf(4))).length).toBe(32);
    const [first, second] = await Promise.allSettled([program.run(stepOf(1)), program.run(stepOf(1))]);
    expect(first.status).toBe("fulfilled");
    expect(second).toMatchObject({ status: "rejected", reason: { code: "device.busy" } });
    expect((await program.run(stepOf(2))).length).toBe(16);
    await program.close();
  });

  test("after close every step is refused, and closing again does nothing", async () => {
    for (const threads of [0, 2]) {
      const program = await device.program(doubling(), { threads });
      await program.run(stepOf(1));
      await program.close();
      await program.close();
      await expect(program.run(stepOf(1))).rejects.toMatchObject({ code: "device.closed" });
    }
  });

  test("close during a step ends it with an error", async () => {
    const program = await device.program(doubling());
    const ended = expect(program.run(stepOf(1))).rejects.toMatchObject({ code: "device.closed" });
    await program.close();
    await ended;
  });

  test.each([0, 1, 2, 4])(
    "a trap in a kernel rejects the step and all later ones: %i workers",
    async (threads) => {
      const plan = doubling();
      plan.tape[plan.tape.length - 16] = 99; // no such operation: the interpreter traps
      const program = await device.program(plan, { threads });
      await expect(program.run(stepOf(1))).rejects.toMatchObject({ code: "device.failed" });
      await expect(program.run(stepOf(1))).rejects.toMatchObject({ code: "device.failed" });
      await program.close();
    },
  );

  test("more than 4 GiB is refused, naming the parts", async () => {
    const plan = doubling();
    const cache = { ...plan.cache, layers: 64, kvHeads: 32, headWidth: 128, pages: 1024 };
    const refused = device.program({ ...plan, cache });
    await expect(refused).rejects.toMatchObject({ code: "device.memory_limit" });
    await expect(refused).rejects.toThrow(/cache 32768 MiB/);
  });

  test("a q8 cache of heads that 32 does not divide is refused", async () => {
    const plan = doubling();
    const refused = device.program({ ...plan, cache: { ...plan.cache, type: "q8", headWidth: 48 } });
    await expect(refused).rejects.toMatchObject({ code: "device.cache_q8" });
  });
});

describe("loading", () => {
  /** x · matrix, where the matrix is of parts of these heights. */
  function joined(
    heights: readonly number[],
    sourceOf = (bytes: Uint8Array): ByteSource => bufferSource(bytes),
  ) {
    const [rows, width] = [heights.reduce((sum, height) => sum + height), 4096];
    const tape = new SmallTape(2);
    const a = tape.input(width, values(2 * width, 1));
    const out = tape.region(rows);
    tape.call("matmul", { out, a }, { weight: 1, n: rows, k: width, bias: -1 });
    const parts = heights.map((height, i) => {
      const data = new Uint8Array(values(height * width, 10 + i).buffer);
      const tensor = {
        name: `part ${i}`,
        type: "F32",
        shape: [width, height],
        values: height * width,
      } as const;
      return { ...tensor, bytes: data.length, offset: 0, source: sourceOf(data) };
    });
    const weight: MatrixWeight = {
      ...{ kind: "matrix", name: "joined", type: "F32", rows, width, experts: 1, parts },
      ...{ gathered: false, multiplied: true },
    };
    const plan = tape.plan(out);
    return { ...plan, weights: [...plan.weights, weight] };
  }

  test.each([
    [[1]],
    [[3, 5, 2]],
    [[1, 1, 1, 1, 1]],
    // 4,096 × 4 bytes a row: some 256 rows fill a staging area.
    [[255, 2, 300]],
    [[600, 1]],
  ])("parts of %j rows joined", async (heights) => {
    await expectSameBits(joined(heights), [stepOf(2)], [wasmDevices[0], wasmDevices[2]]);
  });

  test("progress counts every byte, in order", async () => {
    const seen: number[] = [];
    const plan = joined([300, 7]);
    let all = 0;
    const progress = (done: number, total: number) => {
      seen.push(done);
      all = total;
    };
    await (await device.program(plan, { progress })).close();
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(all);
    expect(all).toBe((2 + 307) * 4096 * 4);
  });

  test("a source that fails, fails the program", async () => {
    const broken = (bytes: Uint8Array): ByteSource => ({
      ...bufferSource(bytes),
      readInto: () => Promise.reject(new Error("the disk is gone")),
    });
    await expect(device.program(joined([9], broken))).rejects.toThrow("the disk is gone");
  });

  test("an aborted signal ends the loading", async () => {
    const abort = new AbortController();
    const progress = () => abort.abort(new Error("no longer wanted"));
    const loading = device.program(joined([900]), { signal: abort.signal, progress });
    await expect(loading).rejects.toThrow("no longer wanted");
  });
});

describe("what it says of itself", () => {
  test("kernels, threads and names", async () => {
    const relaxed = wasmDevice(nodePlatform, { threads: 3 });
    expect(await relaxed.describe()).toEqual({
      ...{ name: "wasm", available: true, kernels: "relaxed SIMD, shared memory", threads: 3 },
    });
    const simd = wasmDevice(nodePlatform, { threads: 0, kernels: "simd" });
    expect(await simd.describe()).toMatchObject({ kernels: "SIMD, one thread", threads: 1 });

    const tape = new SmallTape(1);
    const a = tape.input(32, values(32, 1));
    const q8 = tape.region(32, "q8");
    tape.call("quantize", { out: q8, a }, { n: 32, repeat: 1 });
    const plan = tape.plan(tape.shown(q8));
    expect(relaxed.kernelNames(plan)).toEqual([
      ...["embed_f32_f32_simd128", "quantize_q8_f32_simd128", "matmul_f32_q8_q80_relaxed_simd128"],
    ]);
    expect(simd.kernelNames(plan).at(-1)).toBe("matmul_f32_q8_q80_simd128");
    expect(relaxed.packedType("TQ1_0")).toBe("Q8_0");
    expect(relaxed.packedType("IQ2_XS")).toBe("IQ2_XS");
    expect(relaxed.packedRowBytes("IQ2_XS", 512)).toBe(2 * (2 + 8 + 32 + 64));
    expect(relaxed.packedRowBytes("IQ3_S", 512)).toBe(2 * (2 + 4 + 128));
    expect(relaxed.packedType("Q4_K")).toBe("Q4_K");
  });

  test("without threads it computes on the calling thread", async () => {
    const lonely: WasmPlatform = { ...nodePlatform, threads: () => ({ available: false, reason: "a test" }) };
    const alone = wasmDevice(lonely, { threads: 4 });
    expect(await alone.describe()).toMatchObject({ kernels: "relaxed SIMD, one thread", threads: 1 });
    await expectSameBits(doubling(), [stepOf(3)], [["alone", alone]]);
  });

  test("missing kernels are named", async () => {
    const without: WasmPlatform = { ...nodePlatform, compile: () => Promise.reject(new Error("not found")) };
    const refused = wasmDevice(without).program(doubling());
    await expect(refused).rejects.toMatchObject({ code: "device.kernels" });
  });

  test("where Atomics.waitAsync is missing, workers announce the end of a step", async () => {
    const atomics = Atomics as { waitAsync?: unknown };
    const { waitAsync } = atomics;
    atomics.waitAsync = undefined;
    try {
      await expectSameBits(doubling(), [stepOf(3), stepOf(1)], [["announced", device]]);
    } finally {
      atomics.waitAsync = waitAsync;
    }
  });
});
