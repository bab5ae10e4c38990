import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bufferSource } from "../../src/bytes/source.ts";
import { wasmDevice } from "../../src/devices/wasm/device.ts";
import { nodePlatform } from "../../src/devices/wasm/node-platform.ts";
import type { GenerateRequest } from "../../src/generate/request.ts";
import { Model } from "../../src/model.ts";
import { root } from "../support/shared.ts";

interface Golden {
  file: string;
  cases: { prompt: number[]; top: [number, number][]; greedy: number[] }[];
}

const file = "clavis-stories-q8_0.gguf";
const golden = (JSON.parse(readFileSync(join(root, "tests/golden/logits.json"), "utf8")) as Golden[]).find(
  (model) => model.file === file,
)!;

/** The model that comes with the package, on WebAssembly, in reproducible mode. */
function open(sequences: number): Promise<Model> {
  const bytes = readFileSync(join(root, "models", file));
  return Model.open([bufferSource(bytes)], [wasmDevice(nodePlatform)], {
    mode: "reproducible",
    sequences,
    context: 256,
  });
}

describe("clavis-stories on the wasm device", () => {
  let model: Model;
  beforeAll(async () => {
    model = await open(4);
  });
  afterAll(() => model.close());

  async function tokensOf(on: Model, request: GenerateRequest): Promise<number[]> {
    const tokens: number[] = [];
    for await (const piece of on.generate(request.prompt, request)) tokens.push(...piece.tokens);
    return tokens;
  }

  test("greedy answers, three at once, are llama.cpp's", async () => {
    const answers = golden.cases.map(({ prompt, greedy }) =>
      tokensOf(model, { prompt, maxTokens: greedy.length, ignoreEnd: true, sampling: { temperature: 0 } }),
    );
    expect(await Promise.all(answers)).toEqual(golden.cases.map(({ greedy }) => greedy));
  });

  test("answers with a seed are the same alone, together, and with their prompt in the cache", async () => {
    const start = golden.cases.flatMap(({ prompt }) => prompt);
    const requests = [41, 33, 9, 41, 20].map((length, seed) => ({
      prompt: start.slice(seed % 3, (seed % 3) + length),
      maxTokens: 10,
      ignoreEnd: true,
      sampling: { seed, temperature: 1, topK: 0, minP: 0.02, repeatPenalty: 1.1 },
    }));
    const alone: number[][] = [];
    const single = await open(1);
    for (const request of requests) alone.push(await tokensOf(single, request));
    await single.close();
    expect(new Set(alone.map(String)).size).toBe(requests.length);

    const together = await Promise.all(requests.map((request) => tokensOf(model, request)));
    expect(together).toEqual(alone);
    const stream = model.generate(requests[0].prompt, requests[0]);
    const again: number[] = [];
    for await (const piece of stream) again.push(...piece.tokens);
    expect((await stream.result).cachedTokens).toBe(32);
    expect(again).toEqual(alone[0]);
  });

  test("a chat ends by itself, and stops at a stop string", async () => {
    const messages = [{ role: "user", content: "Write a story about a dog and a ball." }] as const;
    const whole = model.chat(messages, { sampling: { temperature: 0 } });
    let text = "";
    for await (const piece of whole) text += piece.text;
    expect((await whole.result).finishReason).toBe("end");
    expect(text).toContain("dog");

    const until = model.chat(messages, { sampling: { temperature: 0 }, stop: [". "] });
    let sentence = "";
    for await (const piece of until) sentence += piece.text;
    expect(await until.result).toMatchObject({ finishReason: "stop", stopString: ". " });
    expect(sentence).toBe(text.slice(0, text.indexOf(". ")));
  });

  test("a story longer than the context goes on where it may shift", async () => {
    const small = await Model.open(
      [bufferSource(readFileSync(join(root, "models", file)))],
      [wasmDevice(nodePlatform)],
      {
        context: 32,
      },
    );
    const request = { maxTokens: 40, ignoreEnd: true, sampling: { temperature: 0 } };
    const full = small.generate(golden.cases[0].prompt, request);
    expect(await full.result).toMatchObject({ finishReason: "length", generatedTokens: 32 - 13, shifts: 0 });
    const shifted = small.generate(golden.cases[0].prompt, { ...request, overflow: "shift" });
    expect(await shifted.result).toMatchObject({ finishReason: "length", generatedTokens: 40, shifts: 2 });
    await small.close();
  });
});
