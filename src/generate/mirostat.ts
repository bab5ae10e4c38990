import { type Candidates, totalWeight } from "./candidates.ts";
import { draw } from "./draw.ts";
import { log } from "./math.ts";

const bitsPerNat = Math.LOG2E;

/**
 * Mirostat 2.0: keeps the surprise of the text near a target by moving a limit on the surprise of the
 * single token. Surprise is −log₂ p, in bits, p taken before anything is cut off.
 */
export class Mirostat {
  readonly tau: number;
  readonly eta: number;
  /** The limit, in bits. */
  mu: number;

  /**
   * @param tau  target surprise in bits, above 0
   * @param eta  learning rate, 0 < eta ≤ 1
   * Source: Basu et al. 2020, arXiv:2007.14966
   */
  constructor(tau: number, eta: number) {
    this.tau = tau;
    this.eta = eta;
    this.mu = 2 * tau;
  }

  /**
   * Draws among the tokens whose surprise is at most mu (the likeliest at least), and moves mu.
   *
   * @param candidates  the whole vocabulary, likeliest first, with weights; cut in place
   * @param uniform     uniform in [0, 1), from the caller, so that a seed replays
   * @returns           an index, 0 ≤ index < size
   */
  draw(candidates: Candidates, uniform: number): number {
    const logTotal = log(totalWeight(candidates));
    const surprise = (i: number) => (logTotal - log(candidates.weights[i])) * bitsPerNat;
    let size = 1;
    while (size < candidates.size && surprise(size) <= this.mu) size++;
    candidates.size = size;
    const index = draw(candidates, uniform);
    this.mu -= this.eta * (surprise(index) - this.tau);
    return index;
  }
}
