// The control block of the program in memory; kernels/wasm/control.ts reads it, with the same numbers.

/** Address of the control block: static data of the kernels lies below. */
export const controlAddress = 65536;
/** Where what follows the control block may begin. */
export const controlEnd = controlAddress + 1024;

/** Words (four bytes each, from the start of memory) that threads write while a job runs. */
export const words = {
  job: controlAddress / 4,
  done: controlAddress / 4 + 16,
  failed: controlAddress / 4 + 112,
} as const;

const fields = controlAddress / 4 + 128;

/** Words that describe the job; addresses are stored as unsigned. */
export const field = {
  jobKind: fields,
  threads: fields + 1,
  idleSpins: fields + 2,
  barrierSpins: fields + 3,
  packFormat: fields + 4,
  packSource: fields + 5,
  packTarget: fields + 6,
  packRows: fields + 7,
  packWidth: fields + 8,
  packSourceRowBytes: fields + 9,
  tape: fields + 16,
  calls: fields + 17,
  weights: fields + 18,
  arena: fields + 19,
  scratch: fields + 20,
  scratchBytes: fields + 21,
  cache: fields + 22,
  cacheType: fields + 23,
  cacheRowBytes: fields + 24,
  cachePageBytes: fields + 25,
  cacheLayerPages: fields + 26,
  pagesPerSequence: fields + 27,
  tokens: fields + 28,
  positions: fields + 29,
  slots: fields + 30,
  wanted: fields + 31,
  pageTables: fields + 32,
  tokenCount: fields + 33,
  wantedCount: fields + 34,
} as const;

/** Values of the field `jobKind`. */
export const jobs = { step: 0, pack: 1, end: 2 } as const;

/** Words of a weight's entry in the weight table. */
export const weightWords = 8;
