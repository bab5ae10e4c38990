// The page's side: shows what the worker sends.
const [form, name, names, file, prompt, send, stop, answer, status] = [
  ...["form", "#name", "#names", "#file", "#prompt", "#send", "#stop", "#answer", "#status"].map((selector) =>
    document.querySelector(selector),
  ),
];

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

worker.onmessage = ({ data }) => {
  if (data.text) answer.value += data.text;
  if (data.names) names.replaceChildren(...data.names.map((value) => new Option(value)));
  if (data.status) status.textContent = data.status;
  if (data.done) {
    send.disabled = false;
    stop.disabled = true;
  }
};

form.onsubmit = (event) => {
  event.preventDefault();
  answer.value = "";
  status.textContent = "";
  send.disabled = true;
  stop.disabled = false;
  worker.postMessage({ source: file.files[0] ?? name.value.trim(), prompt: prompt.value });
};

stop.onclick = () => worker.postMessage({ stop: true });
