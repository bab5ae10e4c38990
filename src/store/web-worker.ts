import { type FromHashWorker, hashAnswerer, type ToHashWorker } from "./web-hash.ts";
import { list, remove, resolve } from "./web-list.ts";
import { type Action, type FromWorker, plainError, plainEvent, type ToWorker } from "./web-messages.ts";
import { pull } from "./web-pull.ts";
import { type WebTools, webTools } from "./web-tools.ts";

// The worker in which a page's store works, because only there every browser lets files be written in place.
// It carries out one action and is ended. For digests it starts itself once more. Bundled as clavis-store.js.

const actions: Record<Action, (tools: WebTools, name: string, base?: string) => Promise<unknown>> = {
  pull,
  list,
  remove,
  resolve,
};

/** What a worker's global has that the types of pages do not. */
const worker = globalThis as unknown as {
  onmessage: (event: MessageEvent<ToWorker | ToHashWorker>) => void;
  postMessage(message: FromWorker | FromHashWorker): void;
};

const ending = new AbortController();
const hash = hashAnswerer();

worker.onmessage = async ({ data }) => {
  if ("abort" in data) return ending.abort();
  if (!("action" in data)) return worker.postMessage(hash(data));
  try {
    const tell = (event: Parameters<typeof plainEvent>[0]) =>
      worker.postMessage({ event: plainEvent(event) });
    const tools = await webTools(data.options, data.sha256, ending.signal, tell);
    worker.postMessage({ value: await actions[data.action](tools, data.name, data.base) });
  } catch (error) {
    worker.postMessage({ error: plainError(error) });
  }
};
