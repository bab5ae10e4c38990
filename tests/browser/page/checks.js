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

const checks = {
  ...{ devices, inspect, answer, answerFromBytes, logitBits, abort, refusal, hold, release },
};

export const run = (name, options) => checks[name](options);
