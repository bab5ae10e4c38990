import { readFileSync, writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { nativeDevice } from "../../src/devices/native/device.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { SmallTape, stepOf, values } from "../kernels/small-tape.ts";
import { describeNative } from "../support/native.ts";

const MB = 1e6;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** A line of /proc/self/status, in bytes. */
function statusBytes(name: "VmRSS" | "VmHWM"): number {
  const [, kib] = new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync("/proc/self/status", "latin1"))!;
  return Number(kib) * 1024;
}

/** A product with a Q8_0 matrix that lies in a buffer, as if in a file. */
function productPlan(rows: number, width: number): { plan: Plan; fileBytes: number } {
  const tape = new SmallTape(1);
  const a = tape.input(width, values(width, 1));
  const q8 = tape.region(width, "q8");
  tape.call("quantize", { out: q8, a }, { n: width, repeat: 1 });
  const out = tape.region(rows);
  const weight = tape.q8Matrix(rows, width, 2);
  tape.call("matmul", { out, a: q8 }, { weight, n: rows, k: width, bias: -1 });
  return { plan: tape.plan(out), fileBytes: (rows * width * 34) / 32 };
}

describeNative("native: memory", () => {
  test.runIf(process.platform === "linux")("opening and closing 50 times leaves nothing behind", async () => {
    const { plan } = productPlan(4_001, 4_000); // 17 MB
    const once = async () => {
      const program = await nativeDevice({ threads: 2 }).program(plan);
      await program.run(stepOf(1));
      await program.close();
    };
    for (let i = 0; i < 10; i++) await once();
    collectGarbage();
    const before = statusBytes("VmRSS");
    for (let i = 0; i < 50; i++) await once();
    collectGarbage();
    expect(statusBytes("VmRSS") / before).toBeLessThan(1.1);
  });

  test.runIf(process.platform === "linux")(
    "weights are in memory once while they are read, and gone after close",
    async () => {
      const { plan, fileBytes } = productPlan(32_003, 4_000); // 136 MB
      collectGarbage();
      const before = statusBytes("VmRSS");
      writeFileSync("/proc/self/clear_refs", "5"); // makes the peak what it is now
      const program = await nativeDevice({ threads: 2 }).program(plan);
      await program.run(stepOf(1));
      expect(statusBytes("VmHWM") - before).toBeLessThan(fileBytes + 30 * MB);
      await program.close();
      expect(statusBytes("VmRSS") - before).toBeLessThan(30 * MB);
    },
  );
});
