import type { Plan } from "../../plan/plan.ts";
import { type Device, type DeviceDescription, type ProgramOptions, packedType } from "../device.ts";
import { kernelNames } from "../kernel-names.ts";
import { noKernels, unavailable } from "./errors.ts";
import { formRowBytes } from "./forms.ts";
import { hasRelaxedSimd, hasSimd, type KernelFile, type KernelSet } from "./kernels.ts";
import type { WasmPlatform } from "./platform.ts";
import { startProgram } from "./program.ts";

export interface WasmDeviceOptions {
  /** Instructions to use, for tests; default: relaxed SIMD where the runtime has it. */
  readonly kernels?: KernelSet;
  /** Workers unless a program asks for another number; 0 computes on the calling thread. */
  readonly threads?: number;
}

const mostThreads = 64;

/**
 * The WebAssembly device. Fast and reproducible mode run the same kernels: every one keeps to docs/numerics.md.
 *
 * @param platform  `nodePlatform` or `webPlatform()`
 */
export function wasmDevice(platform: WasmPlatform, options: WasmDeviceOptions = {}): Device {
  platform.prepare();
  const kernels: KernelSet = options.kernels ?? (hasSimd() && hasRelaxedSimd() ? "relaxed" : "simd");
  const modules = new Map<KernelFile, Promise<WebAssembly.Module>>();

  const moduleOf = (file: KernelFile): Promise<WebAssembly.Module> => {
    let module = modules.get(file);
    if (!module) {
      module = platform.compile(file).catch((cause) => {
        modules.delete(file);
        throw noKernels(file, cause);
      });
      modules.set(file, module);
    }
    return module;
  };

  /** Workers to start for a wish; 0 where there can be none. */
  const workersFor = (wish: number | undefined): number => {
    if (!platform.threads().available) return 0;
    return Math.min(mostThreads, Math.max(0, Math.floor(wish ?? platform.defaultThreads())));
  };

  return {
    name: "wasm",
    stepTokens: 256,

    async describe(): Promise<DeviceDescription> {
      const workers = workersFor(options.threads);
      const memory = workers > 0 ? "shared memory" : "one thread";
      const shown = `${kernels === "relaxed" ? "relaxed SIMD" : "SIMD"}, ${memory}`;
      const base = { name: "wasm", kernels: shown, threads: Math.max(1, workers) } as const;
      if (!hasSimd()) return { ...base, available: false, reason: "this runtime lacks WebAssembly SIMD" };
      const { available, reason } = platform.threads();
      return { ...base, available: true, ...(available ? {} : { note: reason }) };
    },

    packedType,
    packedRowBytes: formRowBytes,

    kernelNames: (plan: Plan) =>
      kernelNames(plan, {
        // Only products with integer weights have relaxed forms.
        integer: kernels === "relaxed" ? "relaxed_simd128" : "simd128",
        float: "simd128",
        rows: "simd128",
      }),

    async program(plan: Plan, programOptions: ProgramOptions = {}) {
      if (!hasSimd()) throw unavailable("this runtime lacks WebAssembly SIMD");
      const workers = workersFor(programOptions.threads ?? options.threads);
      const module = await moduleOf(`clavis-${kernels}-${workers > 0 ? "shared" : "single"}.wasm`);
      return startProgram(plan, { platform, module, workers }, programOptions);
    },
  };
}
