// What the tests do in a browser. Every function takes and returns plain data.
import * as clavis from "../clavis/clavis.js";

const greedy = { sampling: { temperature: 0 } };

const devices = () => clavis.describeDevices();

const inspect = ({ source }) => clavis.inspect(source);

/** A greedy answer, piece by piece. */
async function answer({ source, messages, load = {} }) {
  const model = await clavis.load(source, load);
  try {
    const pieces = [];
    for await (const piece of model.chat(messages, greedy)) pieces.push(piece.text);
    return { pieces, text: pieces.join(""), info: model.info };
  } finally {
    await model.close();
  }
}

/** As answer, from the same file as a Blob, a File, an ArrayBuffer and a Uint8Array. */
async function answerFromBytes({ source, ...rest }) {
  const buffer = await (await fetch(source)).arrayBuffer();
  const forms = {
    Blob: new Blob([buffer]),
    File: new File([buffer], "picked.gguf"),
    ArrayBuffer: buffer,
    Uint8Array: new Uint8Array(buffer),
  };
  const texts = {};
  for (const [form, bytes] of Object.entries(forms)) {
    texts[form] = (await answer({ source: bytes, ...rest })).text;
  }
  return texts;
}

/** The logits after each prompt, as their bits. */
async function logitBits({ source, prompts, load }) {
  const model = await clavis.load(source, load);
  try {
    const rows = [];
    for (const prompt of prompts) {
      const logits = await model.logits(prompt);
      rows.push([...new Uint32Array(logits.slice().buffer)]);
    }
    return { rows, threads: model.info.threads, kernels: model.info.kernels };
  } finally {
    await model.close();
  }
}

/** Aborts an answer at its third piece, a long one from a timer, and asks again. */
async function abort({ source, messages }) {
  const model = await clavis.load(source);
  try {
    const byReader = new AbortController();
    let pieces = 0;
    const name = await errorOf(model.chat(messages, { ...greedy, signal: byReader.signal }), () => {
      if (++pieces === 3) byReader.abort();
    });
    const byTimer = new AbortController();
    setTimeout(() => byTimer.abort(), 10);
    const long = { ...greedy, ignoreEnd: true, maxTokens: 480, signal: byTimer.signal };
    const timer = await errorOf(model.chat(messages, long), () => {});
    let again = "";
    for await (const piece of model.chat(messages, greedy)) again += piece.text;
    return { pieces, name, timer, again };
  } finally {
    await model.close();
  }
}

/** The name of the error that ends a stream. */
async function errorOf(stream, onPiece) {
  try {
    for await (const _ of stream) onPiece();
    return "none";
  } catch (error) {
    return error.name;
  }
}

/** What loading throws, from an address or from the first bytes of what is there. */
async function refusal({ source, firstBytes, load }) {
  try {
    const bytes = firstBytes !== undefined && (await (await fetch(source)).blob()).slice(0, firstBytes);
    const model = await clavis.load(bytes || source, load);
    await model.close();
    return "none";
  } catch (error) {
    return { isClavisError: error instanceof clavis.ClavisError, ...error.toJSON?.(), name: error.name };
  }
}

let file;
let held;

/** Opens a model and keeps it. The file is fetched once, because the tools that drive browsers keep all answers. */
async function hold({ source, load }) {
  file ??= await (await fetch(source)).arrayBuffer();
  held = await clavis.load(file, load);
  await held.logits([1, 2, 3]);
  return held.info.memoryBytes;
}

async function release() {
  await held.close();
  held = undefined;
}

// ---- models by name

/** What a call gives or throws, and the events on the way; aborts it once so many bytes have come. */
async function told(call, abortAtBytes, options = {}) {
  const events = [];
  const ending = new AbortController();
  const onEvent = (event) => {
    events.push("error" in event ? { ...event, error: event.error.toJSON() } : event);
    if (event.type === "progress" && event.doneBytes >= abortAtBytes) ending.abort(new Error("enough"));
  };
  try {
    return { value: await call({ ...options, onEvent, signal: ending.signal }), events };
  } catch (error) {
    const { code, message, name } = error;
    return { error: { code, message, name, isClavisError: error instanceof clavis.ClavisError }, events };
  }
}

const pull = ({ name, options, abortAtBytes }) =>
  told((more) => clavis.pull(name, more), abortAtBytes, options);

const list = () => told((options) => clavis.list(options));

const remove = ({ name }) => told((options) => clavis.remove(name, options));

const resolve = ({ name, options }) => told((more) => clavis.resolve(name, more), undefined, options);

const originOf = ({ name }) => told(() => clavis.originOf(name));

/** The header of a model by its name. */
const inspectNamed = ({ name, options }) =>
  told(({ onEvent, ...more }) => clavis.inspect(name, { ...more, onPull: onEvent }), undefined, options);

/** A greedy answer of a model by its name. */
const answerNamed = ({ name, messages, options }) =>
  told(
    async ({ onEvent, ...more }) => {
      const model = await clavis.load(name, { ...more, onPull: onEvent });
      let text = "";
      for await (const piece of model.chat(messages, greedy)) text += piece.text;
      await model.close();
      return text;
    },
    undefined,
    options,
  );

/** What lies in the origin's file system: the sha256 of each file, of small ones the text. */
async function stored() {
  const root = await navigator.storage.getDirectory();
  const files = {};
  const folder = await root.getDirectoryHandle("clavis").catch(() => undefined);
  for await (const [name, handle] of folder?.entries() ?? []) {
    const file = await handle.getFile();
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    files[name] = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  return files;
}

/** Changes a byte of a stored file. */
async function damage({ path, at }) {
  const [folder, name] = path.split("/");
  const root = await navigator.storage.getDirectory();
  const handle = await (await root.getDirectoryHandle(folder)).getFileHandle(name);
  const writer = await handle.createWritable({ keepExistingData: true });
  const [byte] = new Uint8Array(await (await handle.getFile()).slice(at, at + 1).arrayBuffer());
  await writer.write({ type: "write", position: at, data: Uint8Array.of(byte ^ 255) });
  await writer.close();
}

/** Removes everything that is stored. */
async function clear() {
  const root = await navigator.storage.getDirectory();
  await root.removeEntry("clavis", { recursive: true }).catch(() => {});
}

const usage = async () => (await navigator.storage.estimate()).usage;

const checks = {
  ...{ devices, inspect, answer, answerFromBytes, logitBits, abort, refusal, hold, release },
  ...{ pull, list, remove, resolve, originOf, inspectNamed, answerNamed, stored, damage, clear, usage },
};

export const run = (name, options) => checks[name](options);
