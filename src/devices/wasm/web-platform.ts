import type { KernelFile } from "./kernels.ts";
import type { WasmPlatform } from "./platform.ts";
import { workerMain } from "./worker.ts";

/**
 * The kernels lie beside the bundle dist/browser/clavis.js. Written out one by one, in the form that
 * bundlers recognise, so that an application's bundler takes the files along.
 */
const urls: Record<KernelFile, () => URL> = {
  "clavis-relaxed-shared.wasm": () => new URL("./clavis-relaxed-shared.wasm", import.meta.url),
  "clavis-relaxed-single.wasm": () => new URL("./clavis-relaxed-single.wasm", import.meta.url),
  "clavis-simd-shared.wasm": () => new URL("./clavis-simd-shared.wasm", import.meta.url),
  "clavis-simd-single.wasm": () => new URL("./clavis-simd-single.wasm", import.meta.url),
};

const mostThreads = 16;

/**
 * The wasm device's platform in a browser's window or worker.
 *
 * @param kernels  gives the bytes of a build, where they do not lie beside the bundle
 */
export function webPlatform(kernels?: (file: KernelFile) => Promise<BufferSource>): WasmPlatform {
  return {
    prepare() {},

    async compile(file) {
      if (kernels) return WebAssembly.compile(await kernels(file));
      const response = await fetch(urls[file]());
      if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
      // Not compileStreaming: it insists on a content type that not every server sends.
      return WebAssembly.compile(await response.arrayBuffer());
    },

    threads() {
      if (typeof SharedArrayBuffer === "undefined" || globalThis.crossOriginIsolated === false) {
        const reason = "the page is not cross-origin isolated, so there is no shared memory";
        return { available: false, reason };
      }
      return { available: typeof Worker !== "undefined", reason: "there are no workers here" };
    },

    defaultThreads() {
      // The number counts logical processors; most desktops have two per core, and phones slow cores beside fast.
      const logical = navigator.hardwareConcurrency || 1;
      return Math.min(mostThreads, logical <= 2 ? logical : Math.ceil(logical / 2));
    },

    startWorker(start) {
      const source = `onmessage = ({ data }) => (${workerMain})(data, (message) => postMessage(message));`;
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      const worker = new Worker(url);
      worker.postMessage(start);
      return {
        onMessage(listener) {
          worker.onmessage = ({ data }) => listener(data);
          worker.onerror = ({ message }) => listener({ failed: message ?? "the worker could not start" });
        },
        keepAlive() {},
        async terminate() {
          worker.terminate();
          URL.revokeObjectURL(url);
        },
      };
    },
  };
}
