import { expect } from "vitest";
import type { Runner } from "./golden.ts";

/** A prompt in one step, one token, a few more in one step, one token. */
function* steps(vocabulary: number): Generator<number[]> {
  let state = 1;
  for (const length of [21, 1, 9, 1, 1]) {
    yield Array.from({ length }, () => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return Math.floor(state / 1000) % vocabulary;
    });
  }
}

/** The logits after each of a few steps over ids below 2,000. */
export async function logitsOf(runner: Runner): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const ids of steps(2000)) all.push(await runner.step(ids));
  return all;
}

/** Fails with the first value whose bits differ. */
export function expectSameBits(got: readonly Float32Array[], want: readonly Float32Array[]): void {
  want.forEach((logits, step) => {
    const [g, w] = [new Uint32Array(got[step].buffer), new Uint32Array(logits.buffer)];
    const apart = w.findIndex((bits, id) => bits !== g[id]);
    const shown = apart < 0 ? "" : `step ${step}, id ${apart}: ${got[step][apart]}, want ${logits[apart]}`;
    expect(shown).toBe("");
    expect(g.length).toBe(w.length);
  });
}
