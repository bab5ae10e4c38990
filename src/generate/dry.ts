/** Parameters of the DRY penalty. */
export interface DryOptions {
  /** Penalty of the shortest match, in natural log units; 0 turns it off. */
  readonly multiplier: number;
  /** Factor for each further token of the match, at least 1. Default 1.75. */
  readonly base?: number;
  /** Tokens that may repeat without a penalty, at least 1. Default 2. */
  readonly allowedLength?: number;
  /** Newest tokens of prompt and answer to look at; -1: all. Default -1. */
  readonly lastN?: number;
  /**
   * A token whose text contains one of these ends a match, and so does a control token. Default newline,
   * colon, quote, asterisk.
   */
  readonly breakers?: readonly string[];
}

/** No penalty is larger, so that a logit stays finite. */
const mostPenalty = 1e30;

/**
 * Don't repeat yourself: lowers the tokens that would continue a repetition. Where the newest n tokens
 * occurred before, the token that followed then loses multiplier · base^(n − allowedLength), if n is at
 * least allowedLength. Of several matches the longest counts; matches do not reach over a breaker.
 *
 * @param logits     [V] f32; changed in place
 * @param history    ids, oldest first
 * @param isBreaker  whether a token ends a match
 * Source: p-e-w 2024, https://github.com/oobabooga/text-generation-webui/pull/5677
 */
export function penalizeRepetition(
  logits: Float32Array,
  history: Int32Array,
  { multiplier, base, allowedLength }: { multiplier: number; base: number; allowedLength: number },
  isBreaker: (id: number) => boolean,
): void {
  const matches = longestMatches(history, isBreaker);
  for (const [id, length] of matches) {
    if (length < allowedLength) continue;
    // Multiplied step by step: Math.pow may differ between JavaScript engines.
    let penalty = multiplier;
    for (let n = allowedLength; n < length && penalty < mostPenalty; n++) penalty *= base;
    logits[id] -= Math.min(penalty, mostPenalty);
  }
}

/**
 * For each token that followed an earlier occurrence of the newest tokens, how many of them matched.
 *
 * That is the Z-function of the history read backwards: z[i] is how far the text ending i tokens before
 * the end agrees with the text's own end. It takes time linear in the history's length.
 * Source: Gusfield 1997, Algorithms on Strings, Trees, and Sequences, section 1.4
 */
function longestMatches(history: Int32Array, isBreaker: (id: number) => boolean): Map<number, number> {
  const longest = new Map<number, number>();
  const n = history.length;
  const breaker = (i: number) => isBreaker(history[n - 1 - i]);
  if (n < 2 || breaker(0)) return longest;
  const same = (i: number, j: number) => history[n - 1 - i] === history[n - 1 - j] && !breaker(i);
  const z = new Int32Array(n);
  let left = 0;
  let right = 0;
  for (let i = 1; i < n; i++) {
    let length = i < right ? Math.min(right - i, z[i - left]) : 0;
    while (i + length < n && same(length, i + length)) length++;
    z[i] = length;
    if (i + length > right) {
      left = i;
      right = i + length;
    }
    const follower = history[n - i];
    if (length > 0 && !isBreaker(follower) && length > (longest.get(follower) ?? 0)) {
      longest.set(follower, length);
    }
  }
  return longest;
}
