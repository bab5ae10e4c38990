// The module's exports: what src/devices/wasm/ calls. Builds: scripts/build-wasm.mjs.
import {
  doneWord,
  finishedWord,
  jobKind,
  jobPack,
  jobWord,
  packFormat,
  packRowCount,
  packSource,
  packSourceRowBytes,
  packTarget,
  packWidth,
  threadCount,
} from "./control";
import { packedBytes, packRows } from "./pack";
import { runTape } from "./tape";
import { barrier, claim } from "./threads";

export { scratchBytes } from "./matmul";
export { packedBytes } from "./pack";
export { awaitJob, spin } from "./threads";

/** Where static data ends; must stay below the control block. */
export function staticEnd(): usize {
  return __heap_base;
}

/**
 * Does this thread's share of the posted job.
 *
 * @returns 1 for the thread that finished last, and so finished the job; else 0
 */
export function work(thread: i32): i32 {
  if (jobKind() == jobPack) pack();
  else runTape(thread);
  if (SHARED) {
    if (atomic.add<i32>(finishedWord, 1) + 1 < threadCount()) return 0;
    atomic.store<i32>(finishedWord, 0);
    atomic.store<i32>(doneWord, atomic.load<i32>(jobWord));
    atomic.notify(doneWord, -1);
  }
  return 1;
}

/** Rows packed in one chunk; a multiple of the four that are interleaved. */
const packChunkBytes = 65536;

function pack(): void {
  const format = packFormat();
  const rows = packRowCount();
  const width = packWidth();
  const rowBytes = packSourceRowBytes();
  const size = max(4, (packChunkBytes / rowBytes) & ~3);
  const chunks = (rows + size - 1) / size;
  for (let chunk = claim(); chunk < chunks; chunk = claim()) {
    const first = chunk * size;
    const source = packSource() + <usize>first * <usize>rowBytes;
    packRows(format, source, packTarget() + packedBytes(format, first, width), min(size, rows - first), width);
  }
  barrier();
}
