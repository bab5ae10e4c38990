import { type Plan, pagePositions } from "../plan/plan.ts";
import { common, ops, tapeWords, wordOf } from "../plan/tape.ts";
import type { Batch } from "./device.ts";
import { stepOrder, stepOutOfRange, stepType } from "./errors.ts";

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
    for (const [what, values] of Object.entries({ tokens, positions, slots, wanted }))
      checkType(what, values);
    if (!Array.isArray(pageTables)) throw stepType("page tables", "an array");
    for (const table of pageTables) checkType("a page table", table);
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
    checkOrder(slots, positions, pageTables.length);
  };
}

/** A kernel may take a sequence's tokens together, and reckons its room from the first and the last of them. */
function checkOrder(slots: Int32Array, positions: Int32Array, sequences: number): void {
  const seen = new Uint8Array(sequences);
  for (let t = 0; t < slots.length; t++) {
    const isSame = t > 0 && slots[t] === slots[t - 1];
    if (isSame ? positions[t] <= positions[t - 1] : seen[slots[t]] === 1) throw stepOrder(t);
    seen[slots[t]] = 1;
  }
}

function checkType(what: string, values: unknown): void {
  if (Object.prototype.toString.call(values) !== "[object Int32Array]") throw stepType(what, "an Int32Array");
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
