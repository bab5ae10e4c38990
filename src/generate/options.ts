import type { DryOptions } from "./dry.ts";
import { optionRange } from "./errors.ts";

/** How the next token is chosen from the logits. Whatever is left out has the default. */
export interface SamplingOptions {
  /** Divides the logits before the draw; 0 always takes the likeliest token. Default 0.8. */
  readonly temperature?: number;
  /** Keep this many likeliest tokens; 0 keeps all. Default 40. */
  readonly topK?: number;
  /** Keep the likeliest tokens that together reach this probability; 1 keeps all. Default 0.95. */
  readonly topP?: number;
  /** Keep tokens at least this many times as probable as the likeliest; 0 keeps all. Default 0.05. */
  readonly minP?: number;
  /** Keep the tokens of nearly the expected surprise that together reach this probability. Default 1: all. */
  readonly typicalP?: number;
  /** Divides positive and multiplies negative logits of tokens that occurred lately. Default 1: nothing. */
  readonly repeatPenalty?: number;
  /** Newest tokens of prompt and answer that `repeatPenalty` looks at; 0 none, -1 all. Default 64. */
  readonly repeatLastN?: number;
  /** Taken off the logits of tokens that the answer has already. Default 0. */
  readonly presencePenalty?: number;
  /** Taken off a token's logit for each time that the answer has it. Default 0. */
  readonly frequencyPenalty?: number;
  /** A whole number; the same seed, model and request give the same answer. Default: drawn at random. */
  readonly seed?: number;
  /** Mirostat 2.0 instead of top-k, typical, top-p, min-p and XTC. tau defaults to 5 bits, eta to 0.1. */
  readonly mirostat?: { readonly tau?: number; readonly eta?: number };
  /** Don't-repeat-yourself penalty on tokens that would continue a repetition. */
  readonly dry?: DryOptions;
  /** Exclude top choices: sometimes drop all but the least likely of the tokens above a threshold. */
  readonly xtc?: { readonly probability: number; readonly threshold: number };
  /** Token id → number added to its logit; -Infinity bars the token. */
  readonly logitBias?: ReadonlyMap<number, number> | Readonly<Record<number, number>>;
  /** Report each token's logarithmic probability, and this many of the likeliest beside it. */
  readonly logprobs?: number;
}

/** SamplingOptions with every default filled in and every range checked. */
export interface CheckedOptions {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly typicalP: number;
  readonly repeatPenalty: number;
  readonly repeatLastN: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly seed: number;
  readonly mirostat?: { readonly tau: number; readonly eta: number };
  readonly dry?: Required<DryOptions>;
  readonly xtc?: { readonly probability: number; readonly threshold: number };
  readonly logitBias: ReadonlyMap<number, number>;
  readonly logprobs?: number;
}

const known = new Set<string>([
  "temperature",
  "topK",
  "topP",
  "minP",
  "typicalP",
  "repeatPenalty",
  "repeatLastN",
  "presencePenalty",
  "frequencyPenalty",
  "seed",
  "mirostat",
  "dry",
  "xtc",
  "logitBias",
  "logprobs",
] satisfies (keyof SamplingOptions)[]);

/**
 * Fills in the defaults and checks every range; an option that does not exist is refused rather than
 * ignored, so that a misspelt one does not pass unnoticed.
 *
 * @param vocabularySize  V, for token ids and counts
 * @throws ClavisError `sample.NAME`, naming the option, what was found and the range
 */
export function checkOptions(options: SamplingOptions, vocabularySize: number): CheckedOptions {
  checkNames(options, known, "");
  const { mirostat, dry, xtc } = options;
  if (mirostat !== undefined) checkNames(mirostat, new Set(["tau", "eta"]), "mirostat.");
  if (xtc !== undefined) checkNames(xtc, new Set(["probability", "threshold"]), "xtc.");
  return {
    temperature: number("temperature", options.temperature ?? 0.8, 0, 1000),
    topK: whole("top_k", "topK", options.topK ?? 40, 0),
    topP: positiveUpTo1("top_p", "topP", options.topP ?? 0.95),
    minP: number("min_p", options.minP ?? 0.05, 0, 1, "minP"),
    typicalP: positiveUpTo1("typical_p", "typicalP", options.typicalP ?? 1),
    repeatPenalty: number("repeat_penalty", options.repeatPenalty ?? 1, 0.01, 100, "repeatPenalty"),
    repeatLastN: whole("repeat_last_n", "repeatLastN", options.repeatLastN ?? 64, -1),
    presencePenalty: number("presence_penalty", options.presencePenalty ?? 0, -100, 100, "presencePenalty"),
    frequencyPenalty: number(
      "frequency_penalty",
      options.frequencyPenalty ?? 0,
      -100,
      100,
      "frequencyPenalty",
    ),
    seed: whole("seed", "seed", options.seed ?? randomSeed(), Number.MIN_SAFE_INTEGER),
    mirostat: mirostat && {
      tau: number("mirostat_tau", mirostat.tau ?? 5, 0.01, 100, "mirostat.tau"),
      eta: number("mirostat_eta", mirostat.eta ?? 0.1, 0.0001, 1, "mirostat.eta"),
    },
    dry: dry && checkDry(dry),
    xtc: xtc && {
      probability: number("xtc_probability", xtc.probability, 0, 1, "xtc.probability"),
      threshold: number("xtc_threshold", xtc.threshold, 0, 1, "xtc.threshold"),
    },
    logitBias: checkBias(options.logitBias ?? {}, vocabularySize),
    logprobs:
      options.logprobs === undefined
        ? undefined
        : whole("logprobs", "logprobs", options.logprobs, 0, vocabularySize),
  };
}

/** A seed from the system's random source, 0 ≤ seed < 2³². */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

function checkDry(dry: DryOptions): Required<DryOptions> {
  checkNames(dry, new Set(["multiplier", "base", "allowedLength", "lastN", "breakers"]), "dry.");
  const breakers = dry.breakers ?? ["\n", ":", '"', "*"];
  if (!Array.isArray(breakers) || breakers.some((text) => typeof text !== "string" || text === "")) {
    throw optionRange("dry_breakers", "dry.breakers", breakers, "a list of texts, none of them empty");
  }
  return {
    multiplier: number("dry_multiplier", dry.multiplier, 0, 100, "dry.multiplier"),
    base: number("dry_base", dry.base ?? 1.75, 1, 100, "dry.base"),
    allowedLength: whole("dry_allowed_length", "dry.allowedLength", dry.allowedLength ?? 2, 1),
    lastN: whole("dry_last_n", "dry.lastN", dry.lastN ?? -1, -1),
    breakers,
  };
}

function checkBias(
  bias: NonNullable<SamplingOptions["logitBias"]>,
  vocabularySize: number,
): ReadonlyMap<number, number> {
  const checked = new Map<number, number>();
  const most = 1e6; // Larger than any difference of logits, small enough for their sum to stay finite.
  for (const [key, value] of bias instanceof Map ? bias : Object.entries(bias)) {
    const id = Number(key);
    if (!(Number.isInteger(id) && id >= 0 && id < vocabularySize)) {
      throw optionRange(
        "logit_bias",
        "a token of logitBias",
        key,
        `a whole number from 0 to ${vocabularySize - 1}`,
      );
    }
    if (typeof value !== "number" || !(Math.abs(value) <= most || value === Number.NEGATIVE_INFINITY)) {
      throw optionRange(
        "logit_bias",
        `the logitBias of token ${id}`,
        value,
        `a number from ${-most} to ${most}, or -Infinity`,
      );
    }
    checked.set(id, value);
  }
  return checked;
}

function checkNames(options: object, names: ReadonlySet<string>, prefix: string): void {
  if (typeof options !== "object" || options === null) {
    throw optionRange("option", prefix === "" ? "sampling" : prefix.slice(0, -1), options, "an object");
  }
  for (const name of Object.keys(options)) {
    if (!names.has(name)) {
      throw optionRange("option", "the sampling option", prefix + name, `one of ${[...names].join(", ")}`);
    }
  }
}

function number(code: string, value: unknown, least: number, most: number, option = code): number {
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw optionRange(code, option, value, `a number from ${least} to ${most}`);
}

function positiveUpTo1(code: string, option: string, value: unknown): number {
  if (typeof value === "number" && value > 0 && value <= 1) return value;
  throw optionRange(code, option, value, "a number above 0 and at most 1");
}

function whole(
  code: string,
  option: string,
  value: unknown,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) {
    return value as number;
  }
  throw optionRange(
    code,
    option,
    value,
    most === Number.MAX_SAFE_INTEGER
      ? `a whole number of at least ${least}`
      : `a whole number from ${least} to ${most}`,
  );
}
