// One engine's turn, on a page of its own: loads the model and runs the rounds. Greedy, without an end.

/** Ids that no vocabulary in use gives to control tokens; others for every round, so that no cache helps. */
const promptOf = (length, round) =>
  Array.from({ length }, (_, t) => 300 + ((t * t * 7 + 131 * round) % 3000));

async function clavis({ source, prompt, generate, threads, rounds }) {
  const { load } = await import("../clavis/clavis.js");
  const blob = await (await fetch(source)).blob();
  const start = performance.now();
  const model = await load(blob, { threads, context: prompt + generate });
  const loadMs = performance.now() - start;
  const results = [];
  for (let round = 0; round <= rounds; round++) {
    const { promptMs, generateMs, generatedTokens } = await model.generate(promptOf(prompt, round), {
      maxTokens: generate,
      ignoreEnd: true,
      sampling: { temperature: 0 },
    }).result;
    results.push({ prompt: prompt / promptMs, generate: (generatedTokens - 1) / generateMs });
  }
  const { kernels, threads: used } = model.info;
  await model.close();
  return { loadMs, rounds: results, threads: used, engine: kernels };
}

async function wllama({ source, prompt, generate, threads, rounds }) {
  const { Wllama, LoggerWithoutDebug } = await import("../wllama/esm/index.js");
  const paths = Object.fromEntries(
    ["single-thread/wllama.wasm", "multi-thread/wllama.wasm"].map((name) => [
      name,
      new URL(`../wllama/esm/${name}`, import.meta.url).href,
    ]),
  );
  const engine = new Wllama(paths, { logger: LoggerWithoutDebug, suppressNativeLog: true });
  const blob = await (await fetch(source)).blob();
  const start = performance.now();
  // A batch as long as the prompt: one step, which suits it best.
  await engine.loadModel([blob], { n_ctx: prompt + generate, n_batch: prompt, n_threads: threads });
  const loadMs = performance.now() - start;
  const results = [];
  for (let round = 0; round <= rounds; round++) {
    await engine.kvClear();
    await engine.samplingInit({ temp: 0 });
    const started = performance.now();
    await engine.decode(promptOf(prompt, round), {});
    let { token } = await engine.samplingSample();
    const first = performance.now();
    for (let i = 1; i < generate; i++) {
      await engine.samplingAccept([token]);
      await engine.decode([token], {});
      ({ token } = await engine.samplingSample());
    }
    const end = performance.now();
    results.push({ prompt: prompt / (first - started), generate: (generate - 1) / (end - first) });
  }
  const used = engine.getNumThreads();
  await engine.exit();
  return { loadMs, rounds: results, threads: used, engine: `llama.cpp ${Wllama.getLibllamaVersion()}` };
}

// The first round of each warms up and is not counted; times per millisecond become times per second.
globalThis.bench = async (name, options) => {
  const result = await { clavis, wllama }[name](options);
  const rounds = result.rounds
    .slice(1)
    .map(({ prompt, generate }) => ({ prompt: prompt * 1000, generate: generate * 1000 }));
  return { ...result, rounds };
};
