import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import type { Command } from "commander";
import { bytes, columns, plural } from "./format.ts";
import { type CommonFlags, commonOptions } from "./options.ts";
import { print, printJson } from "./output.ts";

export function addDevices(program: Command): void {
  commonOptions(program.command("devices"))
    .description("What can compute here, with which kernels, and what is chosen.")
    .addHelpText("after", "\nExamples:\n  clavis devices\n  clavis devices --json")
    .action(devices);
}

async function devices(flags: CommonFlags): Promise<void> {
  const { describeDevices } = await import("../index.ts");
  const described = await describeDevices();
  const chosen = described.find(({ available }) => available);
  const processors = cpus();
  const machine = {
    processor: processors[0]?.model.trim() ?? "unknown",
    processors: processors.length,
    // What the operating system lets this process use, which a container may have limited.
    usable_processors: availableParallelism(),
    memory_bytes: totalmem(),
    free_memory_bytes: freemem(),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
  };
  const why = chosen && reason(chosen.name, described);
  if (flags.json) return printJson({ ...machine, devices: described, chosen: chosen?.name ?? null, why });
  const table = columns([
    ["processor", machine.processor],
    ["processors", `${machine.processors}, of which ${machine.usable_processors} may be used`],
    ["memory", `${bytes(machine.memory_bytes)}, ${bytes(machine.free_memory_bytes)} free`],
    ["system", `${machine.platform}, Node ${machine.node}, V8 ${machine.v8}`],
  ]);
  const rows = described.map((device) => [
    device === chosen ? "*" : "",
    device.name,
    device.available
      ? `${device.kernels}, ${plural(device.threads, "thread")}`
      : `not here: ${device.reason}`,
  ]);
  await print(`${table}\n${columns([["", "device", "kernels"], ...rows])}`);
  if (chosen) await print(`\n* ${why}; --device chooses another.\n`);
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
