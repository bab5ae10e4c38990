import { ClavisError } from "../errors.ts";
import type { Rotary } from "../graph/graph.ts";
import { type Parameters, positive, wholeNumber } from "./parameters.ts";

/**
 * Rotary frequencies: pair i of n rotated values turns by base^(−2i/n) radians a position, divided by
 * the factor of its pair where the file has such a table.
 * Source: Su et al. 2021, arXiv:2104.09864.
 *
 * @param factors  [n/2] divisors, or none
 */
export function frequencies(base: number, rotated: number, factors?: ArrayLike<number>): Float64Array {
  const result = new Float64Array(rotated / 2);
  for (let i = 0; i < result.length; i++) {
    result[i] = base ** ((-2 * i) / rotated) / (factors?.[i] ?? 1);
  }
  return result;
}

/** What a model says of its rotary positions beside the base. */
export interface RotaryOptions {
  readonly style: Rotary["style"];
  /** Small tensors with a divisor per pair, already read: `rope_freqs`, `rope_factors_long`, … */
  readonly factors?: ArrayLike<number>;
  /** Used where the file does not give `rope.freq_base`. */
  readonly defaultBase?: number;
  readonly name?: string;
  /** Overrides the file's base and scaling (gemma3's local layers). */
  readonly base?: number;
}

/**
 * The rotary positions of a model: base, rotated width and scaling from `ARCH.rope.*`.
 * Scaling "linear" divides every frequency (Chen et al. 2023, arXiv:2306.15595); "yarn" blends by
 * wavelength (Peng et al. 2023, arXiv:2309.00071).
 */
export function rotary(parameters: Parameters, options: RotaryOptions): Rotary {
  const { style, factors, defaultBase = 10000, name = "rope" } = options;
  const rotated = parameters.optional("rope.dimension_count", wholeNumber) ?? parameters.headWidth;
  if (rotated < 2 || rotated % 2 !== 0 || rotated > parameters.headWidth) {
    throw new ClavisError("model.parameter", {
      found: `${parameters.architecture}.rope.dimension_count = ${rotated}`,
      expected: `an even number from 2 to the head width ${parameters.headWidth}`,
      next: "The file's metadata is damaged; download or convert it again.",
    });
  }
  if (factors && factors.length !== rotated / 2) {
    throw new ClavisError("model.tensor_shape", {
      found: `${factors.length} rotary factors`,
      expected: `${rotated / 2}, one for each rotated pair`,
      next: "The file's tensors do not fit its own parameters; download or convert it again.",
    });
  }
  const local = options.base !== undefined;
  const base = options.base ?? parameters.optional("rope.freq_base", positive) ?? defaultBase;
  const plain = frequencies(base, rotated, factors);
  if (local) return { name, frequencies: plain, magnitude: 1, style };

  const type = parameters.optionalText("rope.scaling.type") ?? "none";
  const factor =
    parameters.optional("rope.scaling.factor", positive) ??
    // The key's name before the specification settled on the one above.
    (parameters.optional("rope.scale_linear", positive) || 1);
  switch (type) {
    case "none":
    case "longrope": // its factors come as tensors
      return { name, frequencies: plain, magnitude: 1, style };
    case "linear":
      return { name, frequencies: plain.map((f) => f / factor), magnitude: 1, style };
    case "yarn":
      return { name, style, ...yarn(plain, base, rotated, factor, parameters) };
    default:
      throw new ClavisError("model.rope_scaling", {
        found: `rotary scaling of type "${type}"`,
        expected: "none, linear, yarn or longrope",
        next: "This variant is not supported; a file without rope.scaling.type works.",
      });
  }
}

/**
 * YaRN: pairs that turn more than `betaFast` times over the original context keep their frequency,
 * those that turn less than `betaSlow` times are divided by the factor, those between are blended
 * linearly by their index. Section 3.2 of the paper; magnitude by its section 3.3.
 */
function yarn(plain: Float64Array, base: number, rotated: number, factor: number, parameters: Parameters) {
  const original =
    parameters.optional("rope.scaling.original_context_length", positive) ?? parameters.contextLength;
  const betaFast = parameters.optional("rope.scaling.yarn_beta_fast", positive) ?? 32;
  const betaSlow = parameters.optional("rope.scaling.yarn_beta_slow", positive) ?? 1;
  const attention = parameters.optional("rope.scaling.attn_factor", positive) ?? 1;
  // The pair whose wavelength fits `turns` times into the original context.
  const pairOf = (turns: number) =>
    (rotated * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(0, Math.floor(pairOf(betaFast)));
  const high = Math.min(rotated - 1, Math.ceil(pairOf(betaSlow)));
  const blended = plain.map((f, i) => {
    const kept = 1 - Math.min(1, Math.max(0, (i - low) / Math.max(0.001, high - low)));
    return (f / factor) * (1 - kept) + f * kept;
  });
  return { frequencies: blended, magnitude: attention * (1 + 0.1 * Math.log(factor)) };
}
