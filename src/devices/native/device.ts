import { type TensorType, tensorTypes } from "../../bytes/types.ts";
import type { Plan } from "../../plan/plan.ts";
import {
  type Device,
  type DeviceDescription,
  type DeviceMeasurement,
  type ProgramOptions,
  packedType,
} from "../device.ts";
import { text } from "../errors.ts";
import { kernelNames } from "../kernel-names.ts";
import { defaultThreads } from "../node-cores.ts";
import type { Addon } from "./addon.ts";
import { failed, unavailable } from "./errors.ts";
import { levelOfEnvironment, loadAddon, mostThreads } from "./node-addon.ts";
import { startProgram } from "./program.ts";

export interface NativeDeviceOptions {
  /**
   * Instructions to stay below, for tests: baseline, ssse3, avx2, avxvnni, avx512, avx512vnni, neon, dotprod or i8mm;
   * amx-model models AMX on a processor without. Default: $CLAVIS_CPU, or whatever the processor has.
   */
  readonly level?: string;
  /** Threads unless a program asks for another number. Default: one per core, fewer under a quota. */
  readonly threads?: number;
}

export interface NativeDevice extends Device {
  /** What the processor has beyond its family's baseline, e.g. "AVX512-VNNI"; undefined without compiled kernels. */
  features(): readonly string[] | undefined;
  /** The levels of instructions that can be asked for here, lowest first; undefined without compiled kernels. */
  levels(): readonly string[] | undefined;
}

/**
 * The native device: kernels in C++, compiled where the package is installed. All keep to docs/numerics.md, but for
 * the products that fast mode takes for steps of many rows where the machine has such.
 */
export function nativeDevice(options: NativeDeviceOptions = {}): NativeDevice {
  const level = options.level ?? levelOfEnvironment();
  let loaded: { addon: Addon } | { reason: string } | undefined;
  const load = () => {
    if (!loaded) {
      try {
        loaded = { addon: loadAddon() };
      } catch (error) {
        loaded = { reason: text(error) };
      }
    }
    return loaded;
  };
  const threads = (wish = options.threads ?? defaultThreads(mostThreads)) =>
    Math.min(mostThreads, Math.max(1, Math.floor(wish) || 1));

  return {
    name: "native",
    stepTokens: 512,

    async describe(): Promise<DeviceDescription> {
      const state = load();
      const base = { name: "native", threads: threads() } as const;
      if ("reason" in state) return { ...base, available: false, reason: state.reason, kernels: "none" };
      const { level: kernels, fast, exact } = state.addon.describe(level);
      if (kernels === "baseline" && level === undefined) {
        const reason =
          "this processor has neither SSSE3 nor NEON, and WebAssembly is quicker than plain code";
        return { ...base, available: false, reason, kernels };
      }
      const forPrompts = { ...(fast && { fastKernels: fast }), ...(exact && { exactKernels: exact }) };
      return { ...base, available: true, kernels, ...forPrompts };
    },

    async measure(): Promise<DeviceMeasurement> {
      const state = load();
      if ("reason" in state) throw unavailable(state.reason);
      const result = new Float64Array(2);
      const used = threads();
      try {
        await state.addon.measure(level, used, result);
      } catch (error) {
        throw failed(error);
      }
      return { threads: used, readBytesPerSecond: result[0], integerOpsPerSecond: result[1] };
    },

    features() {
      const state = load();
      return "reason" in state ? undefined : state.addon.features();
    },

    levels() {
      const state = load();
      return "reason" in state ? undefined : state.addon.levels();
    },

    packedType,

    packedRowBytes(type, width) {
      const state = load();
      if ("reason" in state) throw unavailable(state.reason);
      const { group } = state.addon.describe(level);
      const { id } = tensorTypes[packedType(type)];
      return state.addon.packedBytes(level, id, group, width) / group;
    },

    kernelNames(plan: Plan) {
      const state = load();
      if ("reason" in state) throw unavailable(state.reason);
      const { matrix, rows } = state.addon.describe(level);
      const exact = plan.mode === "fast" ? 0 : 1;
      const manyRows = (type: TensorType) => state.addon.manyRowKernels(level, tensorTypes[type].id, exact);
      const attention =
        plan.mode === "fast" ? state.addon.fastAttention(level, plan.cache.headWidth) : undefined;
      return kernelNames(plan, { integer: matrix, float: matrix, rows, manyRows, attention });
    },

    async program(plan: Plan, programOptions: ProgramOptions = {}) {
      const state = load();
      if ("reason" in state) throw unavailable(state.reason);
      const setup = { addon: state.addon, level, threads: threads(programOptions.threads) };
      return startProgram(plan, setup, programOptions);
    },
  };
}
