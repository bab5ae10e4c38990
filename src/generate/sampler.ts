import { largest, setWeights } from "./candidates.ts";
import { draw } from "./draw.ts";
import { penalizeRepetition } from "./dry.ts";
import { logitCount } from "./errors.ts";
import { History } from "./history.ts";
import { logprobsOf, type TokenLogprob } from "./logprobs.ts";
import { countLikely, keepMinP } from "./min-p.ts";
import { Mirostat } from "./mirostat.ts";
import { type CheckedOptions, checkOptions, type SamplingOptions } from "./options.ts";
import { penalizeCounts, penalizeRepeats } from "./penalties.ts";
import { Xoshiro128 } from "./random.ts";
import { keepTopP } from "./top-p.ts";
import { keepTypical } from "./typical.ts";
import { excludeTopChoices } from "./xtc.ts";

/** A token that was chosen. */
export interface Sampled {
  readonly token: number;
  /** Natural logarithm of its probability; where `logprobs` is set. */
  readonly logprob?: number;
  /** The likeliest tokens, as many as `logprobs` says. */
  readonly top?: readonly TokenLogprob[];
}

/** What a sampler knows besides its options. */
export interface SamplerContext {
  /** Tokens before the answer, for the repeat and DRY penalties. */
  readonly prompt?: ArrayLike<number>;
  /** The text of a token, "" for a control token, for DRY's breakers; without it no token is one. */
  readonly tokenText?: (id: number) => string;
}

/**
 * Makes the sampler of one answer. Its chain: logit bias; repeat, frequency and presence penalty; DRY;
 * top-k; typical; top-p; min-p; XTC; temperature; draw. With temperature 0 the likeliest token after the
 * penalties is taken (of equals the lower id); with mirostat, temperature and mirostat's own draw follow
 * the penalties.
 *
 * Only operations that IEEE 754 fixes are used, so that the same logits and seed give the same tokens on
 * every machine and in every JavaScript engine.
 *
 * @param vocabularySize  V, the number of logits
 * @throws ClavisError `sample.NAME` for an option out of range or unknown
 */
export function createSampler(
  options: SamplingOptions,
  vocabularySize: number,
  context: SamplerContext = {},
): Sampler {
  return new Sampler(checkOptions(options, vocabularySize), vocabularySize, context);
}

export class Sampler {
  /** The seed in use, also where it was drawn at random. */
  readonly seed: number;
  private readonly options: CheckedOptions;
  private readonly random: Xoshiro128;
  private readonly history: History;
  /** Token → how often the answer has it. */
  private readonly answered = new Map<number, number>();
  private readonly mirostat?: Mirostat;
  private readonly isBreaker: (id: number) => boolean;
  /** [V] logits after bias and penalties; made where there are any. */
  private readonly adjusted?: Float32Array;
  private readonly vocabularySize: number;

  /** Called by createSampler, which checks the options. */
  constructor(options: CheckedOptions, vocabularySize: number, { prompt, tokenText }: SamplerContext) {
    this.options = options;
    this.vocabularySize = vocabularySize;
    this.seed = options.seed;
    this.random = Xoshiro128.fromSeed(options.seed);
    this.history = new History(options.repeatLastN < 0 ? Number.POSITIVE_INFINITY : options.repeatLastN);
    if (options.mirostat) this.mirostat = new Mirostat(options.mirostat.tau, options.mirostat.eta);
    this.isBreaker = breakerTest(options.dry?.breakers ?? [], tokenText);
    const adjusts =
      options.logitBias.size > 0 ||
      options.repeatPenalty !== 1 ||
      options.presencePenalty !== 0 ||
      options.frequencyPenalty !== 0 ||
      (options.dry !== undefined && options.dry.multiplier > 0);
    if (adjusts) this.adjusted = new Float32Array(vocabularySize);
    if (prompt) for (let i = 0; i < prompt.length; i++) this.history.add(prompt[i]);
  }

  /**
   * Chooses the next token. It counts for the penalties once it is given to `accept`.
   *
   * @param logits  [V] f32, unnormalised, natural log; −Infinity bars a token; left unchanged
   * @throws ClavisError `sample.nan`, `sample.infinite` on such a logit, `sample.empty` where all tokens are
   *   barred, `sample.logits` where their number is not V
   */
  sample(logits: Float32Array): Sampled {
    if (logits.length !== this.vocabularySize) throw logitCount(logits.length, this.vocabularySize);
    const token = this.choose(this.adjust(logits));
    const { logprobs } = this.options;
    return logprobs === undefined ? { token } : { token, ...logprobsOf(logits, token, logprobs) };
  }

  /** Counts a token as part of the answer, for the penalties that follow. */
  accept(token: number): void {
    this.history.add(token);
    this.answered.set(token, (this.answered.get(token) ?? 0) + 1);
  }

  private adjust(logits: Float32Array): Float32Array {
    const { adjusted, options, history } = this;
    if (adjusted === undefined) return logits;
    adjusted.set(logits);
    for (const [id, bias] of options.logitBias) adjusted[id] += bias;
    if (options.repeatPenalty !== 1) {
      penalizeRepeats(adjusted, history.recent.keys(), options.repeatPenalty);
    }
    if (options.frequencyPenalty !== 0 || options.presencePenalty !== 0) {
      penalizeCounts(adjusted, this.answered, options.frequencyPenalty, options.presencePenalty);
    }
    if (options.dry !== undefined && options.dry.multiplier > 0) {
      const window = options.dry.lastN < 0 ? Number.POSITIVE_INFINITY : options.dry.lastN;
      penalizeRepetition(adjusted, history.newest(window), options.dry, this.isBreaker);
    }
    return adjusted;
  }

  private choose(logits: Float32Array): number {
    const { options, mirostat } = this;
    if (options.temperature === 0) return largest(logits, 1).ids[0];
    if (mirostat) {
      const candidates = largest(logits, logits.length);
      setWeights(candidates, options.temperature);
      return candidates.ids[mirostat.draw(candidates, this.random.uniform())];
    }
    const candidates = largest(logits, this.most(logits));
    setWeights(candidates, 1);
    keepTypical(candidates, options.typicalP);
    keepTopP(candidates, options.topP);
    keepMinP(candidates, options.minP);
    if (options.xtc) {
      const { probability, threshold } = options.xtc;
      excludeTopChoices(candidates, probability, threshold, this.random.uniform());
    }
    setWeights(candidates, options.temperature);
    return candidates.ids[draw(candidates, this.random.uniform())];
  }

  /** How many candidates the chain needs to start with. */
  private most(logits: Float32Array): number {
    const { topK, topP, typicalP, minP } = this.options;
    if (topK > 0) return topK;
    // Where min-p comes first, what it would leave out need not be sorted.
    if (typicalP === 1 && topP === 1 && minP > 0) return Math.max(1, countLikely(logits, minP));
    return logits.length;
  }
}

/** Whether a token has no text or one with a breaker, worked out once for each token that comes up. */
function breakerTest(
  breakers: readonly string[],
  tokenText: ((id: number) => string) | undefined,
): (id: number) => boolean {
  if (tokenText === undefined) return () => false;
  const known = new Map<number, boolean>();
  return (id) => {
    let answer = known.get(id);
    if (answer === undefined) {
      const text = tokenText(id);
      answer = text === "" || breakers.some((breaker) => text.includes(breaker));
      known.set(id, answer);
    }
    return answer;
  };
}
