// The model's side: it loads and computes here, so that the page stays responsive.
import { describeDevices, list, load } from "../clavis/clavis.js";

let model;
let source;
let abort;

tellNames();

globalThis.onmessage = async ({ data }) => {
  if (data.stop) return abort?.abort();
  abort = new AbortController();
  const { signal } = abort;
  try {
    await use(data.source || "../models/clavis-stories-q8_0.gguf", signal);
    const stream = model.chat([{ role: "user", content: data.prompt }], { signal });
    for await (const { text } of stream) postMessage({ text });
    const { generatedTokens, generateMs } = await stream.result;
    const speed = (((generatedTokens - 1) / generateMs) * 1000).toFixed(0);
    postMessage({ status: `${generatedTokens} tokens, ${speed} tokens/s · ${await how()}` });
  } catch (error) {
    postMessage({ status: signal.aborted ? "Stopped." : error.message });
  }
  postMessage({ done: true });
};

/** Loads a model unless it is the one at hand. A file that is picked again counts as the same. */
async function use(wanted, signal) {
  const key = typeof wanted === "string" ? wanted : `${wanted.name} ${wanted.size} ${wanted.lastModified}`;
  if (key === source) return;
  source = undefined;
  await model?.close();
  model = await load(wanted, {
    signal,
    // What was named is downloaded once; our own file is beside the page anyway.
    pull: typeof wanted === "string" && !wanted.startsWith("../"),
    onPull: tellPull,
    progress: (done, all) => postMessage({ status: `Loading: ${Math.floor((100 * done) / all)} %` }),
  });
  source = key;
  tellNames();
}

function tellPull(event) {
  if (event.type === "progress") {
    const { doneBytes, allBytes } = event;
    const share = Math.floor((100 * doneBytes) / allBytes);
    postMessage({ status: `Downloading: ${share} % of ${(allBytes / 1e6).toFixed(0)} MB` });
  }
  if (event.type === "waiting") postMessage({ status: "Another tab is downloading this model." });
  if (event.type === "retry") postMessage({ status: `Trying again: ${event.error.message}` });
  if (event.type === "notStored") postMessage({ status: `Not kept: ${event.error.message}` });
}

/** The models that are kept here; in some private windows there is no place for any. */
async function tellNames() {
  const models = await list().catch(() => []);
  postMessage({ names: models.map(({ name }) => name) });
}

async function how() {
  const { device, kernels, threads, architecture, name } = model.info;
  const note = (await describeDevices()).find((one) => one.name === device)?.note;
  return `${name ?? architecture} · ${device}, ${kernels}, threads: ${threads}${note ? ` (${note})` : ""}`;
}
