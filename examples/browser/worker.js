// The model's side: it loads and computes here, so that the page stays responsive.
import { describeDevices, load } from "../clavis/clavis.js";

let model;
let source;
let abort;

globalThis.onmessage = async ({ data }) => {
  if (data.stop) return abort?.abort();
  abort = new AbortController();
  const { signal } = abort;
  try {
    await use(data.file ?? "../models/clavis-stories-q8_0.gguf", signal);
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
    progress: (done, all) => postMessage({ status: `Loading: ${Math.floor((100 * done) / all)} %` }),
  });
  source = key;
}

async function how() {
  const { device, kernels, threads, architecture, name } = model.info;
  const note = (await describeDevices()).find((one) => one.name === device)?.note;
  return `${name ?? architecture} · ${device}, ${kernels}, threads: ${threads}${note ? ` (${note})` : ""}`;
}
