// The words of a call, as src/plan/tape.ts names them.
import { arena, tokenCount, wantedCount } from "./control";

/** Word `index` of the call at address `call`. */
export function word(call: usize, index: i32): i32 {
  return load<i32>(call + (<usize>index << 2));
}

/** A word that holds the bits of an f32. */
export function floatWord(call: usize, index: i32): f32 {
  return load<f32>(call + (<usize>index << 2));
}

/** Rows that the call runs over, before any `repeat`. */
export function rowsOf(call: usize): i32 {
  return load<i32>(call, 4) == 0 ? tokenCount : wantedCount;
}

/** Address of row `row` of the output, of input a and of input b. */
export function outRow(call: usize, row: i32): usize {
  return arena + <usize>load<u32>(call, 8) + <usize>row * <usize>load<u32>(call, 12);
}
export function aRow(call: usize, row: i32): usize {
  return arena + <usize>load<u32>(call, 16) + <usize>row * <usize>load<u32>(call, 20);
}
export function bRow(call: usize, row: i32): usize {
  return arena + <usize>load<u32>(call, 24) + <usize>row * <usize>load<u32>(call, 28);
}
