import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/** What this process may compute on. */
export interface Cores {
  /** Logical processors that the scheduler may put it on. */
  readonly logical: number;
  /** Cores that those belong to; where the system does not tell, `logical`. */
  readonly physical: number;
  /** Processors' worth of time that its control group may take; undefined for any. */
  readonly quota?: number;
}

/**
 * Asks the system (Linux; elsewhere only the number of logical processors is known).
 *
 * @param root  where /proc and /sys are, for tests
 * Sources: Linux, Documentation/admin-guide/cputopology.rst, cgroup-v2.rst (cpu.max), scheduler/sched-bwc.rst
 */
export function usableCores(root = "/"): Cores {
  const allowed = listed(/^Cpus_allowed_list:\s*(\S+)$/m.exec(text(root, "proc/self/status"))?.[1] ?? "");
  const logical = allowed.length > 0 ? allowed.length : availableParallelism();
  const cores = new Set(allowed.map((cpu) => siblings(root, cpu) || `only ${cpu}`));
  const quota = quotaOf(root);
  return {
    logical,
    physical: cores.size > 0 ? cores.size : logical,
    ...(quota === undefined ? {} : { quota }),
  };
}

/**
 * Threads worth starting: one per core, since a second one on a core only takes turns with the first; no more than
 * whole processors' worth of the quota, since what goes beyond stops all threads until the next period.
 */
export function defaultThreads(most: number, root?: string): number {
  const { physical, quota = Number.POSITIVE_INFINITY } = usableCores(root);
  return Math.max(1, Math.min(most, physical, Math.floor(quota)));
}

/** The logical processors of one's core, as the system writes them: "0,64". Empty where it does not. */
function siblings(root: string, cpu: number): string {
  const topology = `sys/devices/system/cpu/cpu${cpu}/topology`;
  return (text(root, `${topology}/core_cpus_list`) || text(root, `${topology}/thread_siblings_list`)).trim();
}

/** The smallest quota of the control groups that this process is in, one inside the other. */
function quotaOf(root: string): number | undefined {
  const quotas: number[] = [];
  for (const line of text(root, "proc/self/cgroup").split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    const isVersion2 = controllers === "";
    if (!isVersion2 && !controllers.split(",").includes("cpu")) continue;
    const names = path.split("/").filter((name) => name !== "");
    // In a container the path may be that of the host, while the group's own files lie at the root.
    for (let depth = names.length; depth >= 0; depth--) {
      const group = names.slice(0, depth).join("/");
      const quota = isVersion2
        ? ratio(text(root, join("sys/fs/cgroup", group, "cpu.max")))
        : ratio(
            `${text(root, join("sys/fs/cgroup/cpu", group, "cpu.cfs_quota_us")).trim()} ` +
              text(root, join("sys/fs/cgroup/cpu", group, "cpu.cfs_period_us")),
          );
      if (quota !== undefined) quotas.push(quota);
    }
  }
  return quotas.length > 0 ? Math.min(...quotas) : undefined;
}

/** "150000 100000" as 1.5; undefined for "max 100000", "-1 100000" and what is no quota. */
function ratio(limit: string): number | undefined {
  const [quota, period] = limit.trim().split(/\s+/).map(Number);
  return quota > 0 && period > 0 ? quota / period : undefined;
}

/** "0-2,5" as 0, 1, 2, 5. */
function listed(ranges: string): number[] {
  return ranges.split(",").flatMap((range) => {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
    if (first === undefined) return [];
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => Number(first) + i);
  });
}

function text(root: string, path: string): string {
  try {
    return readFileSync(join(root, path), "latin1");
  } catch {
    return "";
  }
}
