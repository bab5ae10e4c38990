import { type Gguf, openGguf } from "./bytes/gguf.ts";
import type { ByteSource } from "./bytes/source.ts";
import type { TensorType } from "./bytes/types.ts";
import type { Device, DeviceDescription, DeviceName, Program } from "./devices/device.ts";
import { ClavisError, grouped } from "./errors.ts";
import { Engine } from "./generate/engine.ts";
import type { GenerateRequest } from "./generate/request.ts";
import type { GenerateStream } from "./generate/stream.ts";
import { type Divergence, divergence } from "./measure/divergence.ts";
import { otherVocabulary } from "./measure/errors.ts";
import { type EvalOptions, type EvalText, type Perplexity, perplexity } from "./measure/perplexity.ts";
import { buildGraph, modelParameters } from "./models/architecture.ts";
import { architectures } from "./models/index.ts";
import type { Parameters } from "./models/parameters.ts";
import { explainPlan } from "./plan/explain.ts";
import { type KvType, type Plan, pagePositions } from "./plan/plan.ts";
import { makePlan, pageBytes } from "./plan/planner.ts";
import { encodeChat, type Message } from "./tokens/chat.ts";
import {
  createTokenizer,
  type DecodeOptions,
  type EncodeOptions,
  type Tokenizer,
} from "./tokens/tokenizer.ts";

/** How a model is loaded. Whatever is left out has the default. */
export interface LoadOptions {
  /** Default "auto": the quickest device that can run here. */
  readonly device?: "auto" | DeviceName;
  /** Threads to compute with. Default: the device's choice. */
  readonly threads?: number;
  /** `reproducible` gives the same bits on every device; `fast`, the default, may differ in the last ones. */
  readonly mode?: "fast" | "reproducible";
  /** Positions of one conversation. Default: what the model was trained for, as far as `memoryBudget` allows. */
  readonly context?: number;
  /** How keys and values are kept. Default "f16"; "q8" takes about half the memory. */
  readonly kvType?: KvType;
  /** Bytes that keys and values may take. Default 512 MiB. */
  readonly memoryBudget?: number;
  /** Answers that may be written at the same time; further ones wait. Default 4. */
  readonly sequences?: number;
  /**
   * Tokens whose logits one step can give for one sequence, fewer where they would take more than 64 MiB. Answers
   * need 1, the default; `perplexity` and `divergence` are quicker with 256.
   */
  readonly logitRows?: number;
  /** Told as weights are read: bytes done of all. */
  readonly progress?: (doneBytes: number, allBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** What a model's file says of it, without reading its weights. */
export interface Inspection {
  readonly name?: string;
  readonly architecture: string;
  readonly licence?: string;
  /** Count of all weights. */
  readonly parameters: number;
  readonly fileBytes: number;
  /** How many tensors there are of each type. */
  readonly types: Readonly<Partial<Record<TensorType, number>>>;
  /** Positions that the model was trained for. */
  readonly trainedContext: number;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly tokenizer: Tokenizer["kind"];
  readonly hasTemplate: boolean;
}

/** A loaded model: what its file says, and how it runs here. */
export interface ModelInfo extends Inspection {
  readonly device: DeviceName;
  /** The kernels in use, e.g. "avx512vnni"; after a plus sign those that prompts take in fast mode. */
  readonly kernels: string;
  readonly threads: number;
  readonly mode: "fast" | "reproducible";
  /** Positions of one conversation. */
  readonly context: number;
  readonly kvType: KvType;
  /** Bytes held for weights, activations, keys and values. */
  readonly memoryBytes: number;
  /** Bytes of weights that one generated token reads. */
  readonly readsBytes: number;
  readonly loadMs: number;
}

/** What an answer is made with; the prompt comes separately. */
export type GenerateOptions = Omit<GenerateRequest, "prompt">;

const defaultBudget = 512 * 2 ** 20;
const defaultSequences = 4;
const logitsBudget = 64 * 2 ** 20;

/** A model in memory: tokenizer, engine and device together. */
export class Model implements AsyncDisposable {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  readonly #gguf: Gguf;
  readonly #engine: Engine;
  readonly #program: Program;
  readonly #explanation: () => string;

  private constructor(parts: {
    info: ModelInfo;
    tokenizer: Tokenizer;
    gguf: Gguf;
    engine: Engine;
    program: Program;
    explanation: () => string;
  }) {
    this.info = parts.info;
    this.tokenizer = parts.tokenizer;
    this.#gguf = parts.gguf;
    this.#engine = parts.engine;
    this.#program = parts.program;
    this.#explanation = parts.explanation;
  }

  /** Loads a model from its file or files on one of the given devices, the first that is available. */
  static async open(
    sources: readonly ByteSource[],
    devices: readonly Device[],
    options: LoadOptions = {},
  ): Promise<Model> {
    const start = performance.now();
    try {
      const gguf = await openGguf(sources);
      const device = await chooseDevice(devices, options.device ?? "auto");
      const { plan, context } = await planFor(gguf, device, options);
      const { program, tokenizer } = await loadBoth(gguf, device, plan, options);
      const described = await device.describe();
      const info: ModelInfo = {
        ...inspect(gguf, tokenizer),
        device: device.name,
        kernels: kernelsOf(device, described, plan),
        threads: program.threads,
        mode: plan.mode,
        context,
        kvType: plan.cache.type,
        memoryBytes: program.memoryBytes,
        readsBytes: totalBytes(plan),
        loadMs: performance.now() - start,
      };
      const engine = new Engine({ program, plan, tokenizer, contextLength: context });
      const explanation = () => explainPlan(plan, device.kernelNames(plan));
      return new Model({ info, tokenizer, gguf, engine, program, explanation });
    } finally {
      await Promise.all(sources.map((source) => source.close()));
    }
  }

  /**
   * Answers a conversation through the model's own chat template.
   *
   * @throws ClavisError `chat.no_template` for a model without one, `context.overflow` for a
   *   conversation longer than the context, `sample.*` for options out of range
   */
  chat(messages: readonly Message[], options: GenerateOptions = {}): GenerateStream {
    return this.#engine.generate({
      ...options,
      prompt: encodeChat(this.#gguf.metadata, this.tokenizer, messages),
    });
  }

  /**
   * Continues a text, or token ids as they are. A text gets the model's bos where it wants one;
   * control tokens written in it stay plain text.
   *
   * @throws ClavisError as {@link chat}
   */
  generate(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): GenerateStream {
    return this.#engine.generate({ ...options, prompt: this.#ids(prompt) });
  }

  /** The token ids of a text. */
  tokenize(text: string, options?: EncodeOptions): Int32Array {
    return this.tokenizer.encode(text, options);
  }

  /** The text of token ids. */
  detokenize(ids: Iterable<number>, options?: DecodeOptions): string {
    return this.tokenizer.decode(ids, options);
  }

  /** The logits after a prompt: [V] f32, unnormalised, natural log. */
  logits(prompt: string | ArrayLike<number>, signal?: AbortSignal): Promise<Float32Array> {
    return this.#engine.logits(this.#ids(prompt), signal);
  }

  /**
   * How well the model expects a text, or token ids as they are: the lower the better. Comparable among models
   * with the same tokenizer, for the same windows. Load the model with `logitRows: 256` for it.
   *
   * @throws ClavisError `eval.*` for options out of range, a text shorter than a window
   */
  perplexity(text: string | ArrayLike<number>, options?: EvalOptions): Promise<Perplexity> {
    return perplexity(this.#engine, this.#evalText(text), options);
  }

  /**
   * How far this model's expectations of a text are from those of another, its original.
   *
   * @throws ClavisError as {@link perplexity}; `eval.vocabulary` for models that see different tokens in the text
   */
  async divergence(
    original: Model,
    text: string | ArrayLike<number>,
    options?: EvalOptions,
  ): Promise<Divergence> {
    const own = this.#evalText(text);
    const theirs = original.#evalText(text);
    const [size, originalSize] = [this.info.vocabulary, original.info.vocabulary];
    if (size !== originalSize) {
      throw otherVocabulary(
        `logits of ${grouped(size)} tokens`,
        `${grouped(originalSize)}, as the original has`,
      );
    }
    if (own.bos !== theirs.bos || String(own.ids) !== String(theirs.ids)) {
      throw otherVocabulary("other tokens in the same text", "a model with the original's tokenizer");
    }
    return divergence(this.#engine, original.#engine, own, options);
  }

  /** The plan of a step, a line per kernel call: kernel, shapes, bytes of weights read. */
  explain(): string {
    return this.#explanation();
  }

  /** Ends running answers, frees the memory and ends the threads. A second call does nothing. */
  async close(): Promise<void> {
    await this.#engine.close();
    await this.#program.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #evalText(text: string | ArrayLike<number>): EvalText {
    const { tokenizer } = this;
    const ids = typeof text === "string" ? tokenizer.encode(text) : Int32Array.from(text);
    return { ids, bos: tokenizer.addsBos ? tokenizer.bos : undefined };
  }

  #ids(prompt: string | ArrayLike<number>): ArrayLike<number> {
    return typeof prompt === "string" ? this.tokenizer.encode(prompt, { addSpecial: true }) : prompt;
  }
}

/** Builds the tokenizer while the device's threads read the weights. */
async function loadBoth(
  gguf: Gguf,
  device: Device,
  plan: Plan,
  options: LoadOptions,
): Promise<{ program: Program; tokenizer: Tokenizer }> {
  const giveUp = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, giveUp.signal]) : giveUp.signal;
  const loading = device.program(plan, { ...options, signal });
  try {
    const tokenizer = createTokenizer(gguf.metadata);
    return { program: await loading, tokenizer };
  } catch (error) {
    giveUp.abort();
    // The sources may not be closed under it.
    await loading.then((program) => program.close()).catch(() => {});
    throw error;
  }
}

/** The plan that a model would run by. */
export interface Explanation {
  /** As {@link Model.explain} prints it: a line per kernel call. */
  readonly text: string;
  readonly device: DeviceName;
  readonly mode: "fast" | "reproducible";
  readonly context: number;
  readonly kvType: KvType;
  /** Bytes of weights that one generated token reads. */
  readonly readsBytes: number;
}

/** The plan that the model in a file would run by, from its header alone. */
export async function explain(
  gguf: Gguf,
  devices: readonly Device[],
  options: LoadOptions = {},
): Promise<Explanation> {
  const device = await chooseDevice(devices, options.device ?? "auto");
  const { plan, context } = await planFor(gguf, device, options);
  return {
    text: explainPlan(plan, device.kernelNames(plan)),
    device: device.name,
    mode: plan.mode,
    context,
    kvType: plan.cache.type,
    readsBytes: totalBytes(plan),
  };
}

function totalBytes(plan: Plan): number {
  return plan.readsBytes.reduce((sum, bytes) => sum + bytes, 0);
}

/** What the file of a model says, from its header alone. @param tokenizer  the model's, where it has been built already */
export function inspect(gguf: Gguf, tokenizer: Tokenizer = createTokenizer(gguf.metadata)): Inspection {
  const { metadata, tensors } = gguf;
  const parameters: Parameters = modelParameters(gguf, architectures);
  const types: Partial<Record<TensorType, number>> = {};
  let weights = 0;
  for (const tensor of tensors.values()) {
    types[tensor.type] = (types[tensor.type] ?? 0) + 1;
    weights += tensor.values;
  }
  return {
    name: metadata.optionalString("general.name"),
    architecture: parameters.architecture,
    licence: metadata.optionalString("general.license"),
    parameters: weights,
    fileBytes: gguf.bytes,
    types,
    trainedContext: parameters.contextLength,
    layers: parameters.layers,
    width: parameters.width,
    heads: parameters.heads,
    kvHeads: parameters.kvHeads,
    vocabulary: parameters.vocabulary,
    tokenizer: tokenizer.kind,
    hasTemplate: (metadata.optionalString("tokenizer.chat_template") ?? "").trim() !== "",
  };
}

/** The plan that a model would run by on a device, and the context it has room for. */
async function planFor(
  gguf: Gguf,
  device: Device,
  options: LoadOptions,
): Promise<{ plan: Plan; context: number }> {
  const parameters = modelParameters(gguf, architectures);
  const { contextLength: trained, layers, kvHeads, headWidth } = parameters;
  const {
    mode = "fast",
    kvType = "f16",
    memoryBudget = defaultBudget,
    sequences = defaultSequences,
    logitRows = 1,
  } = options;
  checkCount("sequences", sequences, 256);
  checkCount("logitRows", logitRows, 4096);
  checkCount("context", options.context ?? 1, trained);
  if (options.threads !== undefined) checkCount("threads", options.threads, 256);
  checkChoice("mode", mode, ["fast", "reproducible"]);
  checkChoice("kvType", kvType, ["f16", "q8"]);
  if (kvType === "q8" && headWidth % 32 !== 0) {
    throw new ClavisError("load.kv_type", {
      found: `kvType q8 for heads of ${headWidth} values`,
      expected: "heads of a multiple of 32 values",
      next: "Use kvType f16.",
    });
  }
  const onePage = pageBytes({ layers, kvHeads, headWidth, type: kvType });
  const affordable = Math.floor(memoryBudget / onePage);
  const context = options.context ?? Math.min(trained, affordable * pagePositions);
  const pagesPerSequence = Math.ceil(context / pagePositions);
  // Written so that a budget that is no number is refused, too.
  if (!(affordable >= pagesPerSequence && context >= 1)) {
    throw new ClavisError("load.memory_budget", {
      found: `a context of ${grouped(context)} positions, whose keys and values take ${grouped(pagesPerSequence * onePage)} bytes`,
      expected: `at most ${grouped(memoryBudget)} bytes`,
      next: "Ask for a shorter context, kvType q8, or a larger memoryBudget.",
    });
  }
  const graph = await buildGraph(gguf, architectures, context);
  const tokens = Math.max(sequences, Math.min(device.stepTokens, pagesPerSequence * pagePositions));
  const affordableRows = Math.max(1, Math.floor(logitsBudget / (4 * parameters.vocabulary)));
  const plan = makePlan(graph, {
    mode,
    kvType,
    pages: Math.min(affordable, pagesPerSequence * sequences),
    limits: {
      tokens,
      wanted: sequences - 1 + Math.min(logitRows, affordableRows, tokens),
      sequences,
      pagesPerSequence,
    },
    packedType: device.packedType,
    packedRowBytes: device.packedRowBytes,
  });
  return { plan, context };
}

function checkCount(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  throw new ClavisError(loadCode(name), {
    found: `${name} = ${value}`,
    expected: `a whole number from 1 to ${grouped(most)}`,
    next:
      name === "context"
        ? "The model was not trained for more positions."
        : `Choose another value for ${name}.`,
  });
}

function checkChoice(name: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  throw new ClavisError(loadCode(name), {
    found: `${name} = ${value}`,
    expected: choices.join(" or "),
    next: `Choose another value for ${name}.`,
  });
}

/** load.kv_type for kvType. */
const loadCode = (option: string) =>
  `load.${option.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;

/** The device's kernels, and after a plus sign those that this plan has beside them for steps of many rows. */
function kernelsOf(device: Device, { kernels }: DeviceDescription, plan: Plan): string {
  const manyRows = new Set(device.kernelNames(plan).flatMap((name) => name.split("+").slice(1)));
  return [kernels, ...manyRows].join(" + ");
}

async function chooseDevice(devices: readonly Device[], name: "auto" | DeviceName): Promise<Device> {
  const reasons: string[] = [];
  for (const device of devices) {
    if (name !== "auto" && device.name !== name) continue;
    const { available, reason } = await device.describe();
    if (available) return device;
    reasons.push(`${device.name}: ${reason}`);
  }
  throw new ClavisError("load.device", {
    found: `no device "${name}" that can run here${reasons.length > 0 ? ` (${reasons.join("; ")})` : ""}`,
    expected: `auto, or one of ${devices.map((device) => device.name).join(", ")}`,
    next: "`clavis devices` says what can run here.",
  });
}
