// The control block: where the program of one device and the step at hand lie in memory.
// src/devices/wasm/memory.ts writes it; the numbers here and there are the same.

/** Address of the control block; static data of the module lies below (scripts/build-wasm.mjs checks it). */
const base: usize = 65536;

// Words that threads write while a job runs, each on a cache line of its own.
/** Number of the job that the main thread has posted. */
export const jobWord: usize = base;
/** Number of the last job that is done. */
export const doneWord: usize = base + 64;
/** The next chunk of the call at hand. */
export const claimWord: usize = base + 128;
/** Threads that have arrived at the barrier. */
export const arrivedWord: usize = base + 192;
/** Counts barriers; threads wait for it to change. */
export const generationWord: usize = base + 256;
/** Threads that sleep at the barrier. */
export const sleepersWord: usize = base + 320;
/** Threads that have finished the job. */
export const finishedWord: usize = base + 384;
/** Not 0 once a thread has failed: nobody waits for it any more. */
export const failedWord: usize = base + 448;

// What the job is.
const fields: usize = base + 512;
function field(index: i32): i32 {
  return load<i32>(fields + (<usize>index << 2));
}

/** Kinds of jobs. */
export const jobStep: i32 = 0;
export const jobPack: i32 = 1;
export const jobEnd: i32 = 2;

export function jobKind(): i32 {
  return field(0);
}
export function threadCount(): i32 {
  return field(1);
}
/** Turns of the waiting loops before a thread sleeps: between jobs, and at a barrier. */
export function idleSpins(): i32 {
  return field(2);
}
export function barrierSpins(): i32 {
  return field(3);
}

// A pack job: rows of one matrix, `rows` of them from `source` on, to `target`.
export function packFormat(): i32 {
  return field(4);
}
export function packSource(): usize {
  return <usize>field(5);
}
export function packTarget(): usize {
  return <usize>field(6);
}
export function packRowCount(): i32 {
  return field(7);
}
export function packWidth(): i32 {
  return field(8);
}
export function packSourceRowBytes(): i32 {
  return field(9);
}

// The program and the step; read once per job into globals, which the compiler can keep in registers.
export let tape: usize = 0;
export let calls: i32 = 0;
export let weights: usize = 0;
export let arena: usize = 0;
export let scratch: usize = 0;
export let scratchBytes: i32 = 0;
export let cache: usize = 0;
/** 0 f16, 1 q8. */
export let cacheType: i32 = 0;
/** Bytes of the keys (or values) of one position and head, of one page of one layer, of one layer. */
export let cacheRowBytes: i32 = 0;
export let cachePageBytes: i32 = 0;
export let cacheLayerPages: i32 = 0;
export let pagesPerSequence: i32 = 0;
export let tokens: usize = 0;
export let positions: usize = 0;
export let slots: usize = 0;
export let wanted: usize = 0;
export let pageTables: usize = 0;
export let tokenCount: i32 = 0;
export let wantedCount: i32 = 0;

/** Reads the control block's program and step. `thread` picks the scratch. */
export function readStep(thread: i32): void {
  tape = <usize>field(16);
  calls = field(17);
  weights = <usize>field(18);
  arena = <usize>field(19);
  scratchBytes = field(21);
  scratch = <usize>field(20) + <usize>thread * <usize>scratchBytes;
  cache = <usize>field(22);
  cacheType = field(23);
  cacheRowBytes = field(24);
  cachePageBytes = field(25);
  cacheLayerPages = field(26);
  pagesPerSequence = field(27);
  tokens = <usize>field(28);
  positions = <usize>field(29);
  slots = <usize>field(30);
  wanted = <usize>field(31);
  pageTables = <usize>field(32);
  tokenCount = field(33);
  wantedCount = field(34);
}

// A weight's entry in the table, 32 bytes: address, format, rows, width, experts, bytes per expert.
export function weightAddress(weight: i32): usize {
  return <usize>load<u32>(weights + (<usize>weight << 5));
}
export function weightFormat(weight: i32): i32 {
  return load<i32>(weights + (<usize>weight << 5), 4);
}
export function weightRows(weight: i32): i32 {
  return load<i32>(weights + (<usize>weight << 5), 8);
}
export function weightWidth(weight: i32): i32 {
  return load<i32>(weights + (<usize>weight << 5), 12);
}
export function weightExperts(weight: i32): i32 {
  return load<i32>(weights + (<usize>weight << 5), 16);
}
export function weightExpertBytes(weight: i32): usize {
  return <usize>load<u32>(weights + (<usize>weight << 5), 20);
}
