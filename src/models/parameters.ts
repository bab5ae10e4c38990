import type { Metadata } from "../bytes/metadata.ts";
import { ClavisError } from "../errors.ts";

/** Hyperparameters that every architecture has, read from `ARCH.*` keys of the file. */
export interface Parameters {
  readonly architecture: string;
  readonly layers: number;
  /** Width of the residual stream. */
  readonly width: number;
  readonly feedForward: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Values of one head's queries, keys and values. */
  readonly headWidth: number;
  readonly vocabulary: number;
  /** Positions that the model was trained for. */
  readonly contextLength: number;
  /** A parameter of this architecture: the number at `ARCH.name`, within [least, most]. */
  number(name: string, range: Range): number;
  /** The same where the file may leave it out. */
  optional(name: string, range: Range): number | undefined;
  optionalText(name: string): string | undefined;
}

export interface Range {
  readonly least: number;
  readonly most: number;
  readonly whole?: boolean;
}

const count = (most: number): Range => ({ least: 1, most, whole: true });

/** Reads and checks what all architectures share. Source of the keys: the GGUF specification. */
export function readParameters(metadata: Metadata, architecture: string, vocabulary: number): Parameters {
  const check = (key: string, value: number, { least, most, whole }: Range): number => {
    if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
      throw new ClavisError("model.parameter", {
        found: `${key} = ${value}`,
        expected: `${whole ? "a whole number" : "a number"} from ${least} to ${most}`,
        next: "The file's metadata is damaged; download or convert it again.",
      });
    }
    return value;
  };
  const number = (name: string, range: Range) => {
    const key = `${architecture}.${name}`;
    return check(key, metadata.number(key), range);
  };
  const optional = (name: string, range: Range) => {
    const key = `${architecture}.${name}`;
    return metadata.has(key) ? check(key, metadata.number(key), range) : undefined;
  };
  // Some files give a number per layer; layers that differ from each other are not supported.
  const perLayer = (name: string, range: Range) => {
    const key = `${architecture}.${name}`;
    if (!Array.isArray(metadata.get(key)) && !ArrayBuffer.isView(metadata.get(key)))
      return optional(name, range);
    const values = new Set(Array.from(metadata.numbers(key)));
    if (values.size !== 1) {
      throw new ClavisError("model.parameter", {
        found: `${key} = ${values.size} different values`,
        expected: "the same value for every layer",
        next: "This variant of the architecture is not supported.",
      });
    }
    return check(key, [...values][0], range);
  };

  const width = number("embedding_length", count(1 << 20));
  const heads =
    perLayer("attention.head_count", count(1 << 12)) ?? number("attention.head_count", count(1 << 12));
  const kvHeads = perLayer("attention.head_count_kv", count(1 << 12)) ?? heads;
  const headWidth = optional("attention.key_length", count(1 << 12)) ?? width / heads;
  const valueWidth = optional("attention.value_length", count(1 << 12)) ?? headWidth;
  if (
    !Number.isInteger(headWidth) ||
    headWidth % 2 !== 0 ||
    valueWidth !== headWidth ||
    heads % kvHeads !== 0
  ) {
    throw new ClavisError("model.parameter", {
      found: `${heads} query heads, ${kvHeads} key heads, key width ${headWidth}, value width ${valueWidth}`,
      expected: "query heads a multiple of key heads, and one even width for keys and values",
      next: "The file's metadata is damaged, or the variant is not supported.",
    });
  }
  return {
    architecture,
    layers: number("block_count", count(1024)),
    width,
    feedForward:
      perLayer("feed_forward_length", count(1 << 22)) ?? number("feed_forward_length", count(1 << 22)),
    heads,
    kvHeads,
    headWidth,
    vocabulary,
    contextLength: number("context_length", count(2 ** 31)),
    number,
    optional,
    optionalText: (name) => metadata.optionalString(`${architecture}.${name}`),
  };
}

export const positive: Range = { least: 1e-12, most: 1e12 };
export const wholeNumber: Range = { least: 0, most: 2 ** 31, whole: true };
