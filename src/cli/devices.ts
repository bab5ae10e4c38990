import { cpus, freemem, totalmem } from "node:os";
import type { Command } from "commander";
import type { DeviceDescription, DeviceMeasurement, Machine } from "../index.ts";
import { bytes, columns, plural, significant } from "./format.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { print, printJson } from "./output.ts";

export function addDevices(program: Command): void {
  commonOptions(program.command("devices"))
    .description("What can compute here, with which kernels, and what is chosen.")
    .addHelpText(
      "after",
      `
What a device reads is GB a second, from memory that no cache holds, with all its threads: generating a token
reads all weights once. What it multiplies is 10⁹ operations a second in products with Q8_0 weights, an addition
counted like a multiplication: prompts are limited by that. Both are measured now, in about 0.3 s; other work on
the machine lowers them.

Examples:
  clavis devices
  clavis devices --json`,
    )
    .action(devices);
}

async function devices(flags: CommonFlags): Promise<void> {
  const { describeDevices, measureMachine } = await import("../index.ts");
  const described = await describeDevices();
  const measured = await measureMachine();
  const chosen = described.find(({ available }) => available);
  const machine = {
    processor: measured.processor,
    features: measured.features ?? null,
    processors: cpus().length,
    // What the operating system lets this process use, which a container may have limited.
    usable_processors: measured.logicalCores,
    usable_cores: measured.physicalCores,
    quota: measured.quota ?? null,
    memory_bytes: totalmem(),
    free_memory_bytes: freemem(),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
  };
  const why = chosen && reason(chosen.name, described);
  if (flags.json) {
    const devices = described.map((device) => ({ ...device, ...figures(measured.measured[device.name]) }));
    return printJson({ ...machine, devices, chosen: chosen?.name ?? null, why });
  }
  const table = columns([
    ["processor", machine.processor],
    ["features", measured.features?.join(", ") || "none known of"],
    ["processors", processors(measured, machine.processors)],
    ["memory", `${bytes(machine.memory_bytes)}, ${bytes(machine.free_memory_bytes)} free`],
    ["system", `${machine.platform}, Node ${machine.node}, V8 ${machine.v8}`],
  ]);
  const rows = described.map((device) => [
    device === chosen ? "*" : "",
    device.name,
    ...speeds(device, measured.measured[device.name]),
    device.available
      ? `${kernelsOf(device)}, ${plural(device.threads, "thread")}`
      : `not here: ${device.reason}`,
  ]);
  await print(`${table}\n${columns([["", "device", "reads", "multiplies", "kernels"], ...rows])}`);
  if (chosen) await print(`\n* ${why}; --device chooses another.\n`);
}

/** "8, of which 4 may be used, on 2 cores, for 1.5 of their time". */
function processors({ logicalCores, physicalCores, quota }: Machine, all: number): string {
  const cores = `on ${plural(physicalCores, "core")}`;
  const limit = quota === undefined ? "" : `, for the time of ${significant(quota)}`;
  return `${all}, of which ${logicalCores} may be used, ${cores}${limit}`;
}

/** Measurements as `--json` has them. */
function figures(measured: DeviceMeasurement | undefined) {
  return {
    read_gb_s: measured ? measured.readBytesPerSecond / 1e9 : null,
    integer_gops: measured ? measured.integerOpsPerSecond / 1e9 : null,
  };
}

function speeds({ available }: DeviceDescription, measured: DeviceMeasurement | undefined): [string, string] {
  const { read_gb_s: reads, integer_gops: multiplies } = figures(measured);
  if (reads === null || multiplies === null) return available ? ["not measured", ""] : ["", ""];
  return [`${significant(reads)} GB/s`, `${significant(multiplies)} GOPS`];
}

function kernelsOf({ kernels, fastKernels, exactKernels }: DeviceDescription): string {
  const exact = exactKernels ? `, in reproducible mode ${exactKernels}` : "";
  return fastKernels ? `${kernels} (for prompts in fast mode also ${fastKernels}${exact})` : kernels;
}

function reason(chosen: string, all: readonly { name: string; available: boolean }[]): string {
  const before = all.slice(
    0,
    all.findIndex(({ name }) => name === chosen),
  );
  return before.length === 0
    ? `${chosen} is chosen: the quickest device`
    : `${chosen} is chosen: the quickest of those that can run here`;
}
