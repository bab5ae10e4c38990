// The page's side: shows what the worker sends.
const [form, file, prompt, send, stop, answer, status] = [
  ...["form", "#file", "#prompt", "#send", "#stop", "#answer", "#status"].map((selector) =>
    document.querySelector(selector),
  ),
];

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

worker.onmessage = ({ data }) => {
  if (data.text) answer.value += data.text;
  if (data.status) status.textContent = data.status;
  if (data.done) {
    send.disabled = false;
    stop.disabled = true;
  }
};

form.onsubmit = (event) => {
  event.preventDefault();
  answer.value = "";
  send.disabled = true;
  stop.disabled = false;
  worker.postMessage({ file: file.files[0], prompt: prompt.value });
};

stop.onclick = () => worker.postMessage({ stop: true });
