import type { KernelFile } from "./kernels.ts";
import type { WorkerMessage, WorkerStart } from "./worker.ts";

/** What the wasm device needs of the runtime that it is in: Node or a browser. */
export interface WasmPlatform {
  /** Makes relaxed SIMD known where it hides behind a flag. Called before anything is compiled. */
  prepare(): void;
  /** Compiles one of the builds. */
  compile(file: KernelFile): Promise<WebAssembly.Module>;
  /** Whether threads over shared memory can be had; if not, why. */
  threads(): { readonly available: boolean; readonly reason?: string };
  /** Threads to compute with unless told otherwise. */
  defaultThreads(): number;
  startWorker(start: WorkerStart): WorkerHandle;
}

/** A worker that runs `workerMain`. */
export interface WorkerHandle {
  /** Called with its messages, and with a failure when it ends of itself. */
  onMessage(listener: (message: WorkerMessage) => void): void;
  /** Whether the process should stay alive for it; of no effect in browsers. */
  keepAlive(alive: boolean): void;
  terminate(): Promise<void>;
}
