import { type Plan, pagePositions } from "../plan/plan.ts";
import { common, ops, tapeWords, wordOf } from "../plan/tape.ts";
import type { Batch } from "./device.ts";
import { stepOutOfRange } from "./errors.ts";

/**
 * Checks the steps of a plan before they reach kernels, which assume what is checked here.
 *
 * @returns a function that throws ClavisError `device.step` for a batch that does not fit the plan
 */
export function batchCheck(plan: Plan): (batch: Batch) => void {
  const { limits, cache } = plan;
  const tokenLimit = rowsPicked(plan, "embed");
  const positionLimit = rowsPicked(plan, "addPosition");
  return ({ tokens, positions, slots, wanted, pageTables }) => {
    checkCount("tokens", tokens.length, limits.tokens);
    checkCount("wanted rows", wanted.length, limits.wanted);
    checkCount("sequences", pageTables.length, limits.sequences);
    if (positions.length !== tokens.length)
      throw stepOutOfRange("positions", positions.length, tokens.length);
    if (slots.length !== tokens.length) throw stepOutOfRange("slots", slots.length, tokens.length);
    checkBelow("token", tokens, tokenLimit);
    checkBelow("slot", slots, pageTables.length);
    checkBelow("wanted row", wanted, tokens.length);
    for (const table of pageTables) {
      checkCount("pages of a sequence", table.length, limits.pagesPerSequence);
      checkBelow("page", table, cache.pages);
    }
    for (let t = 0; t < tokens.length; t++) {
      const limit = Math.min(positionLimit, pageTables[slots[t]].length * pagePositions);
      if (!(positions[t] >= 0 && positions[t] < limit)) {
        throw stepOutOfRange("position", positions[t], limit - 1);
      }
    }
  };
}

/** The fewest rows of the matrices that calls of this operation pick rows of. */
function rowsPicked({ tape, weights }: Plan, op: "embed" | "addPosition"): number {
  let rows = Number.POSITIVE_INFINITY;
  for (let at = 0; at < tape.length; at += tapeWords) {
    if (tape[at + common.op] !== ops[op].id) continue;
    const weight = weights[tape[at + wordOf(op, "weight")]];
    if (weight.kind === "matrix") rows = Math.min(rows, weight.rows);
  }
  return rows;
}

function checkCount(what: string, count: number, limit: number): void {
  if (count > limit) throw stepOutOfRange(what, count, limit);
}

function checkBelow(what: string, values: Int32Array, limit: number): void {
  for (const value of values) {
    if (!(value >= 0 && value < limit)) throw stepOutOfRange(what, value, limit - 1);
  }
}
