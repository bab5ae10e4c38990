import { run } from "./checks.js";

globalThis.onmessage = async ({ data: { name, options } }) => {
  try {
    postMessage({ value: await run(name, options) });
  } catch (error) {
    postMessage({ error: String(error?.stack ?? error) });
  }
};
