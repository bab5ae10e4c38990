import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultThreads, usableCores } from "../../src/devices/node-cores.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** A tree of files to stand for / */
function system(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "clavis-cores-"));
  folders.push(folder);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

const status = (allowed: string) => ({
  "proc/self/status": `Name:\tnode\nCpus_allowed_list:\t${allowed}\nX: 1\n`,
});

/** Which logical processors each one shares its core with. */
const topology = (lists: readonly string[], file = "core_cpus_list") =>
  Object.fromEntries(
    lists.map((list, cpu) => [`sys/devices/system/cpu/cpu${cpu}/topology/${file}`, `${list}\n`]),
  );

const pairs = ["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"];

describe("cores", () => {
  test.each([
    ["a core each", status("0-1"), topology(["0", "1"]), 2, 2],
    ["two threads a core", status("0-7"), topology(pairs), 8, 4],
    ["the same as older kernels say it", status("0-7"), topology(pairs, "thread_siblings_list"), 8, 4],
    ["both threads of one core", status("1,5"), topology(pairs), 2, 1],
    ["one thread of each of two cores", status("0,5"), topology(pairs), 2, 2],
    ["cores of both kinds", status("0-4"), topology(["0-1", "0-1", "2", "3", "4"]), 5, 4],
    ["no word of cores", status("0,2-3"), {}, 3, 3],
  ])("%s", (_, allowed, cpus, logical, physical) => {
    expect(usableCores(system({ ...allowed, ...cpus }))).toEqual({ logical, physical });
  });

  test("without /proc, as many as Node knows of", () => {
    const { logical, physical } = usableCores(system({}));
    expect(logical).toBeGreaterThanOrEqual(1);
    expect(physical).toBe(logical);
  });
});

describe("quotas", () => {
  const machine = { ...status("0-7"), ...topology(["0", "1", "2", "3", "4", "5", "6", "7"]) };
  const own = { "proc/self/cgroup": "0::/box/inner\n" };

  test.each([
    ["version 2", { ...own, "sys/fs/cgroup/box/inner/cpu.max": "300000 100000\n" }, 3, 3],
    ["none", { ...own, "sys/fs/cgroup/box/inner/cpu.max": "max 100000\n" }, undefined, 8],
    ["of a group further out", { ...own, "sys/fs/cgroup/box/cpu.max": "250000 100000\n" }, 2.5, 2],
    [
      "the smaller of two",
      {
        ...own,
        "sys/fs/cgroup/box/cpu.max": "200000 100000\n",
        "sys/fs/cgroup/box/inner/cpu.max": "500000 100000\n",
      },
      2,
      2,
    ],
    ["inside a container", { "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000" }, 0.5, 1],
    [
      "version 1",
      {
        "proc/self/cgroup": "3:cpuset:/\n2:cpu,cpuacct:/box\n",
        "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "400000\n",
        "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
      },
      4,
      4,
    ],
    [
      "version 1 without a limit",
      {
        "proc/self/cgroup": "2:cpu,cpuacct:/\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
      },
      undefined,
      8,
    ],
    ["of another controller", { "proc/self/cgroup": "2:memory:/box\n" }, undefined, 8],
    ["nonsense", { ...own, "sys/fs/cgroup/box/inner/cpu.max": "many\n" }, undefined, 8],
  ] as [string, Record<string, string>, number | undefined, number][])("%s", (_, files, quota, threads) => {
    const root = system({ ...machine, ...files });
    expect(usableCores(root).quota).toBe(quota);
    expect(defaultThreads(64, root)).toBe(threads);
    expect(defaultThreads(2, root)).toBe(Math.min(2, threads));
  });
});

const hasTaskset = process.platform === "linux" && spawnSync("taskset", ["--version"]).status === 0;

test.runIf(hasTaskset)("a process that is kept on one processor starts one thread", () => {
  const [first] = /\d+/.exec(
    execFileSync("taskset", ["-cp", String(process.pid)], { encoding: "utf8" }).split(":")[1],
  )!;
  const script = `import { defaultThreads } from ${JSON.stringify(join(import.meta.dirname, "../../dist/devices/node-cores.js"))};
    console.log(defaultThreads(64));`;
  const args = ["-c", first, process.execPath, "--input-type=module", "-e", script];
  expect(execFileSync("taskset", args, { encoding: "utf8" })).toBe("1\n");
});
