import type { Metadata } from "../bytes/metadata.ts";

/** The character that SentencePiece writes for a space: U+2581. */
export const spaceMark = "\u2581";

/**
 * How a SentencePiece vocabulary wants its spaces.
 * Source: Kudo and Richardson 2018, arXiv:1808.06226, and the published normalizer specification.
 */
export interface SpaceRules {
  /** Put a space before the text, so that its first word is spelt as elsewhere. */
  readonly addsPrefix: boolean;
  /** Leave out spaces at both ends and all but one of several. */
  readonly removesExtra: boolean;
}

export function readSpaceRules(metadata: Metadata): SpaceRules {
  return {
    addsPrefix: metadata.optionalBoolean("tokenizer.ggml.add_space_prefix") ?? true,
    removesExtra: metadata.optionalBoolean("tokenizer.ggml.remove_extra_whitespaces") ?? false,
  };
}

/** A text with its spaces as the vocabulary spells them. */
export function markSpaces(text: string, { addsPrefix, removesExtra }: SpaceRules): string {
  let spaced = text;
  if (removesExtra) {
    spaced = spaced.replace(/ +/g, " ");
    spaced = spaced.slice(
      spaced.startsWith(" ") ? 1 : 0,
      spaced.endsWith(" ") && spaced !== " " ? -1 : undefined,
    );
  }
  if (spaced === "") return "";
  return ((addsPrefix ? " " : "") + spaced).replaceAll(" ", spaceMark);
}
