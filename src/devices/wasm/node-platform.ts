import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { packageFile } from "../../node-package.ts";
import { defaultThreads } from "../node-cores.ts";
import type { WasmPlatform } from "./platform.ts";
import { workerMain } from "./worker.ts";

const mostThreads = 16;

/** The wasm device's platform in Node. */
export const nodePlatform: WasmPlatform = {
  prepare() {
    // Node 20 (V8 11.3) knows relaxed SIMD only behind this flag; later ones know it anyway.
    if (Number.parseInt(process.versions.node, 10) < 22) {
      setFlagsFromString("--experimental-wasm-relaxed-simd");
    }
  },

  async compile(file) {
    return WebAssembly.compile(await readFile(fileURLToPath(packageFile(`dist/kernels/${file}`))));
  },

  threads: () => ({ available: true }),

  defaultThreads: () => defaultThreads(mostThreads),

  startWorker(start) {
    const source = `const { parentPort, workerData } = require("node:worker_threads");
(${workerMain})(workerData, (message) => parentPort.postMessage(message));`;
    const worker = new Worker(source, {
      eval: true,
      workerData: start,
      execArgv: [],
      // The worker allocates next to nothing: its data lies in the shared memory.
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16 },
    });
    worker.unref();
    return {
      onMessage(listener) {
        worker.on("message", listener);
        worker.on("error", (error) => listener({ failed: String(error) }));
        worker.on("exit", (code) => listener({ failed: `the worker ended with code ${code}` }));
      },
      keepAlive(alive) {
        if (alive) worker.ref();
        else worker.unref();
      },
      async terminate() {
        await worker.terminate();
      },
    };
  },
};
