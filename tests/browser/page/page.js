// Runs a check in the window or in a worker of it: `await check("worker", "answer", { … })`.
import { run } from "./checks.js";

let worker;

globalThis.check = async (where, name, options) => {
  if (where === "window") return run(name, options);
  worker ??= new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => ("error" in data ? reject(new Error(data.error)) : resolve(data.value));
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage({ name, options });
  });
};
